"""Runs code of bundles on a thread of its own, for a limited time.

Python cannot end a thread. One that does not come back in time is *abandoned*: its locks are taken from it, it gets no
other (`inaetics.node.locks`), it is asked to end by an exception (which code that loops in Python obeys and code that
waits in the kernel does not), and whoever waited goes on. It is remembered for as long as it lives.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import structlog

from inaetics.errors import Unavailable
from inaetics.node import locks
from inaetics.node.locks import Abandoned
from inaetics.node.whose import place, where

log = structlog.get_logger()

T = TypeVar("T")


class Overdue(Unavailable):
    """Code that did not return in time; `place` is where it was then."""

    def __init__(self, message: str, *, place: str) -> None:
        super().__init__(message)
        self.place = place


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A thread that was abandoned: which bundle's, in doing what, where it hung, since when (monotonic)."""

    bundle: str
    doing: str
    place: str
    since: float
    thread: threading.Thread


class Bounded:
    """Runs one thing after the other, each on its own thread. `lost` may be read from anywhere."""

    def __init__(self, packages: Callable[[], list[str]] = list) -> None:
        self._packages = packages
        self._lost: tuple[Lost, ...] = ()
        self._job: _Job[Any] | None = None

    def hurry(self) -> None:
        """Let what is running now have had its time: the process ends. Safe from any thread."""
        job = self._job
        if job is not None:
            job.done.set()

    @property
    def lost(self) -> tuple[Lost, ...]:
        """The abandoned threads that still live."""
        self._lost = tuple(each for each in self._lost if each.thread.is_alive())
        return self._lost

    def run(self, bundle: str, doing: str, work: Callable[[], T], within_s: float) -> T:
        """Return what `work` returns or raise what it raises; `doing` and `bundle` are for people.

        When it waits for a lock that another thread keeps, that thread loses its locks and `work` gets its time once
        more. Raises `Overdue` when it does not return `within_s`, after abandoning it.
        """
        job = _Job(f"{doing} {bundle}", work)
        self._job = job
        job.thread.start()
        for _ in range(3):
            if job.done.wait(within_s):
                if job.ended:
                    return job.result()
                break
            ident = job.thread.ident or 0
            keeper = locks.waits_for(ident)
            if keeper == ident:
                break
            log.warning("a thread hangs and keeps a lock, taking it", thread=keeper, where=where(keeper), wanted=bundle)
            locks.rob(keeper)
        return self._abandon(job, bundle, doing, within_s)

    def _abandon(self, job: _Job[T], bundle: str, doing: str, within_s: float) -> T:
        ident = job.thread.ident or 0
        at, innermost = place(ident, self._packages()), where(ident)
        if job.ended:  # this very moment
            return job.result()
        locks.condemn(job.thread)
        locks.rob(ident)
        _interrupt(ident)
        self._lost = (
            *self.lost,
            Lost(bundle=bundle, doing=doing, place=at, since=time.monotonic(), thread=job.thread),
        )
        log.error("bundle hangs and was given up", bundle=bundle, doing=doing, after_s=within_s, innermost=innermost)
        raise Overdue(f"it did not {doing} within {within_s:g} s: it hangs at {at}", place=at)


class _Job(Generic[T]):
    def __init__(self, name: str, work: Callable[[], T]) -> None:
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._work = work
        self._value: list[T] = []
        self._error: BaseException | None = None

    @property
    def ended(self) -> bool:
        return bool(self._value) or self._error is not None

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        return self._value[0]

    def _run(self) -> None:
        try:
            self._value.append(self._work())
        except Abandoned as error:
            log.info("a bundle that was given up has come to its end", thread=self.thread.name)
            self._error = error
        except BaseException as error:  # noqa: BLE001 - raised again by `result`
            self._error = error
        finally:
            self.done.set()


def _interrupt(thread: int) -> None:
    """Raise `Abandoned` in `thread` at its next instruction of Python."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(Abandoned))
