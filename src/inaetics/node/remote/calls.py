"""Calls from others, as a provider sees them.

A method of an exported service may ask who calls and whether anybody still waits::

    call = current_call()
    while not found and not (call and call.given_up):
        ...
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import msgspec

local = threading.local()
"""`call`: what the thread carries out."""


class CurrentCall(msgspec.Struct, eq=False):  # a struct because one is made for every call
    """One call of another framework, `caller`. Safe from any thread."""

    caller: str
    deadline: float
    """On `time.monotonic`; infinite when the caller waits for ever, or for no answer."""
    began: float = 0.0
    future: Future[Any] | None = None
    """What the service returned for it, when that was a future."""
    cancelled: bool = False
    """Whether the caller said that it does not wait any more, or is gone."""
    weight: int = 0
    """Bytes of its frame, when that is large."""
    _listeners: list[Callable[[], object]] | None = None

    @property
    def given_up(self) -> bool:
        """Whether nobody waits any more: the caller said so, is gone, or its time is over."""
        return self.cancelled or time.monotonic() >= self.deadline

    @property
    def remaining_s(self) -> float | None:
        """How long the caller waits yet; None for ever."""
        return None if math.isinf(self.deadline) else max(self.deadline - time.monotonic(), 0.0)

    def when_cancelled(self, listener: Callable[[], object]) -> None:
        """Call `listener` when the caller gives up or is gone, once, from any thread; at once when it has."""
        if self._listeners is None:
            self._listeners = []
        self._listeners.append(listener)
        if self.cancelled:
            self._tell()

    def cancel(self) -> None:
        """The caller has given up. Idempotent."""
        self.cancelled = True
        if self.future is not None:
            self.future.cancel()
        self._tell()

    def _tell(self) -> None:
        while self._listeners:
            try:
                listener = self._listeners.pop()
            except IndexError:
                return  # another thread was quicker
            listener()


def current_call() -> CurrentCall | None:
    """The call from another framework that this thread carries out; None in a call from within."""
    return getattr(local, "call", None)
