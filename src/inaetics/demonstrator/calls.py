"""Calls of services that may be elsewhere: what they raise when the other side is gone; a loop that lives with it."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog
from pelix.constants import BundleException
from pelix.rsa import RemoteServiceError

log = structlog.get_logger()

CALL_FAILED = (RemoteServiceError, BundleException, OSError, TimeoutError)
"""A remote service that is dead, silent or just withdrawn; the call may or may not have been carried out."""

PAUSE_AFTER_FAILURE_S = 0.5


class Worker:
    """A named thread that calls `step` again and again until it is stopped.

    `step` returns how many seconds to pause; it may raise CALL_FAILED, which costs a short pause. `stop` waits for the
    step under way, at most `patience_s`.
    """

    def __init__(self, name: str, step: Callable[[], float]) -> None:
        self._step = step
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def stopping(self) -> bool:
        """Whether the step under way is the last."""
        return self._stopping.is_set()

    def stop(self, patience_s: float = 3.0) -> None:
        self._stopping.set()
        self._thread.join(patience_s)

    def _run(self) -> None:
        failing = False
        while not self._stopping.is_set():
            try:
                pause = self._step()
                failing = False
            except CALL_FAILED as error:
                if not failing:  # once an outage, not once a try
                    log.warning("remote call failed, trying again", worker=self._thread.name, error=str(error))
                failing = True
                pause = PAUSE_AFTER_FAILURE_S
            if pause > 0:
                self._stopping.wait(pause)
