"""What people set at all producers and processors: each is told on a thread of its own, and the last word counts.

Whoever comes later is told what was set before, so that a new producer produces as much as the others.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import structlog

from inaetics.demonstrator.api import PipelineControl

log = structlog.get_logger()

UTILISATION = "set_utilisation"
COST = "set_cost"

ANSWERS_WITHIN_S = 2.0
MOST_AT_ONCE = 64
BELIEVED_S = 3.0
"""After which what agents report counts for more than what was set."""


class Knob:
    """One agent's. It has at most one call under way; what is wanted meanwhile is told next."""

    def __init__(self, name: str, service: PipelineControl) -> None:
        self.name = name
        self._service: Any = service
        self._lock = threading.Lock()
        self._wanted: dict[str, tuple[float, list[Future[bool]]]] = {}
        self._missed: dict[str, float] = {}
        self._turning = False

    def want(self, pool: ThreadPoolExecutor, method: str, value: float) -> Future[bool]:
        """Have `method` called; the future says whether it was carried out."""
        done: Future[bool] = Future()
        with self._lock:
            waiting = self._wanted.get(method, (value, []))[1]
            self._wanted[method] = (value, [*waiting, done])
            if not self._turning:
                self._turning = True
                pool.submit(self._turn)
        return done

    def again(self, pool: ThreadPoolExecutor) -> None:
        """Try once more what failed, unless something is under way."""
        with self._lock:
            missed = {} if self._turning else dict(self._missed)
        for method, value in missed.items():
            self.want(pool, method, value)

    def _turn(self) -> None:
        while True:
            with self._lock:
                if not self._wanted:
                    self._turning = False
                    return
                method, (value, waiting) = self._wanted.popitem()
            done = self._call(method, value)
            for each in waiting:
                each.set_result(done)

    def _call(self, method: str, value: float) -> bool:
        try:
            getattr(self._service, method)(value)
        except Exception as error:  # noqa: BLE001 - it is gone, or another bundle's mistake: the others go on
            with self._lock:
                if self._missed.get(method) != value:  # once, not at each try
                    log.warning("an agent was not told", agent=self.name, method=method, value=value, error=repr(error))
                self._missed[method] = value
            return False
        with self._lock:
            self._missed.pop(method, None)
        return True


class Knobs:
    """All agents that can be controlled. Safe from any thread."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="viewer-control")
        self._lock = threading.Lock()
        self._knobs: dict[int, Knob] = {}
        self._set: dict[str, tuple[float, float]] = {}
        """Method → what was set, and when."""

    def stop(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def bind(self, name: str, service: PipelineControl) -> None:
        with self._lock:
            knob = self._knobs[id(service)] = Knob(name, service)
            for method, (value, _) in self._set.items():
                knob.want(self._pool, method, value)

    def unbind(self, service: PipelineControl) -> None:
        with self._lock:
            self._knobs.pop(id(service), None)

    def again(self) -> None:
        """Tell those that could not be told."""
        with self._lock:
            for knob in self._knobs.values():
                knob.again(self._pool)

    def set(self, method: str, value: float, *, within_s: float = ANSWERS_WITHIN_S) -> list[str]:
        """Tell all; returns the names of those that have not done it `within_s`."""
        with self._lock:
            self._set[method] = (value, time.monotonic())
            told = [(knob.name, knob.want(self._pool, method, value)) for knob in self._knobs.values()]
        wait([future for _, future in told], within_s)
        return sorted({name for name, future in told if not (future.done() and future.result())})

    def believed(self, method: str, reported: list[float]) -> float | None:
        """What is set: what all report alike, or what was set when that is so fresh that they cannot have reported."""
        with self._lock:
            value, at_s = self._set.get(method, (None, 0.0))
        if value is not None and (not reported or time.monotonic() - at_s < BELIEVED_S):
            return value
        return reported[0] if reported and min(reported) == max(reported) else None
