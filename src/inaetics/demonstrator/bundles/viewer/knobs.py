"""What people set at all producers and processors: each is told on a thread of its own, and the last word counts.

Whoever comes later is told what was set before, so that a new producer produces as much as the others. A viewer that
begins (felix@1 moved, its bundle was updated) asks each agent what it was told: the youngest word of any of them holds
until somebody says another one here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog

from inaetics.demonstrator.api import MODES, PipelineControl, Word

log = structlog.get_logger()

UTILISATION = "set_utilisation"
COST = "set_cost"
MODE = "set_mode"

Value = float | str

ANSWERS_WITHIN_S = 2.0
MOST_AT_ONCE = 64
BELIEVED_S = 3.0
"""After which what agents report counts for more than what was set."""


Learned = Callable[[list[Word]], None]


class Knob:
    """One agent's. It has at most one call under way; what is wanted meanwhile is told next."""

    def __init__(self, name: str, service: PipelineControl) -> None:
        self.name = name
        self._service: Any = service
        self._lock = threading.Lock()
        self._wanted: dict[str, tuple[Value, list[Future[bool]]]] = {}
        self._missed: dict[str, Value] = {}
        self._turning = False

    def begin(self, pool: ThreadPoolExecutor, learned: Learned) -> None:
        """Before anything else, have `learned` hear what it was told by others."""
        self._turning = True
        pool.submit(self._begin, learned)

    def want(self, pool: ThreadPoolExecutor, method: str, value: Value) -> Future[bool]:
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

    def _begin(self, learned: Learned) -> None:
        try:
            learned(msgspec.convert(self._service.told(), list[Word]))
        except Exception as error:  # noqa: BLE001 - it is gone, or cannot say: it is told all the same
            log.debug("an agent does not say what it was told", agent=self.name, error=repr(error))
        self._turn()

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

    def _call(self, method: str, value: Value) -> bool:
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


@dataclass(frozen=True, slots=True)
class _Set:
    """What holds, since when, and whether somebody said it here; else an agent brought it."""

    value: Value
    at_s: float
    here: bool


class Knobs:
    """All agents that can be controlled. Safe from any thread."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="viewer-control")
        self._lock = threading.Lock()
        self._knobs: dict[int, Knob] = {}
        self._set: dict[str, _Set] = {}

    def stop(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def bind(self, name: str, service: PipelineControl) -> None:
        with self._lock:
            knob = self._knobs[id(service)] = Knob(name, service)
            knob.begin(self._pool, lambda words: self._learn(service, words))
            for method, held in self._set.items():
                knob.want(self._pool, method, held.value)

    def unbind(self, service: PipelineControl) -> None:
        with self._lock:
            self._knobs.pop(id(service), None)

    def again(self) -> None:
        """Tell those that could not be told."""
        with self._lock:
            for knob in self._knobs.values():
                knob.again(self._pool)

    def set(self, method: str, value: Value, *, within_s: float = ANSWERS_WITHIN_S) -> list[str]:
        """Tell all; returns the names of those that have not done it `within_s`."""
        with self._lock:
            self._set[method] = _Set(value, time.monotonic(), here=True)
            told = self._tell_all(method, value)
        wait([future for _, future in told], within_s)
        return sorted({name for name, future in told if not (future.done() and future.result())})

    def believed(self, method: str, reported: Sequence[Value]) -> Value | None:
        """What is set: what all report alike, or what was set when that is so fresh that they cannot have reported."""
        with self._lock:
            held = self._set.get(method)
        if held is not None and (not reported or time.monotonic() - held.at_s < BELIEVED_S):
            return held.value
        return reported[0] if len(set(reported)) == 1 else None

    def _tell_all(self, method: str, value: Value) -> list[tuple[str, Future[bool]]]:
        return [(knob.name, knob.want(self._pool, method, value)) for knob in self._knobs.values()]

    def _learn(self, service: PipelineControl, words: list[Word]) -> None:
        """Take in what an agent was told before: the youngest word holds, unless somebody has said one here."""
        now = time.monotonic()
        with self._lock:
            if id(service) not in self._knobs:
                return  # it has gone meanwhile
            for word in filter(_makes_sense, words):
                held, at_s = self._set.get(word.method), now - max(word.age_s, 0.0)
                if held is not None and (held.here or at_s <= held.at_s):
                    continue
                self._set[word.method] = _Set(word.value, at_s, here=False)
                if held is None or held.value != word.value:
                    log.info("an agent knows what was set", method=word.method, value=word.value)
                    self._tell_all(word.method, word.value)


def _makes_sense(word: Word) -> bool:
    if word.method == MODE:
        return word.value in MODES
    return word.method in (UTILISATION, COST) and isinstance(word.value, float | int)
