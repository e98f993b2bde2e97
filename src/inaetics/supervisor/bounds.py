"""Keeping journals within their bounds without looking at silent ones.

A silent journal has a watch that fires once, when the first line comes, and costs nothing until then. From there the
journal is looked at now and then, the sooner the faster it grows, until it is silent again.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass

import structlog

from inaetics.supervisor import linux
from inaetics.supervisor.journal import CUT_ABOVE_BYTES, Journals

_log = structlog.get_logger()

_SOONEST_S = 0.5
_LATEST_S = 30.0
_FIRST_S = 2.0


@dataclass(slots=True)
class _Bound:
    """One journal: its size at the last look, when that was, and the look to come, if any."""

    unit: str
    size: int = 0
    looked_at: float = 0.0
    timer: asyncio.TimerHandle | None = None
    watch: int | None = None


class Bounds:
    """Cuts journals that grow."""

    def __init__(self, journals: Journals) -> None:
        self._journals = journals
        self._loop = asyncio.get_running_loop()
        self._bounds: dict[str, _Bound] = {}
        self._watches: dict[int, _Bound] = {}
        self._fd = linux.inotify_open()
        self._loop.add_reader(self._fd, self._readable)

    def close(self) -> None:
        """Stop looking."""
        self._loop.remove_reader(self._fd)
        os.close(self._fd)
        for unit in list(self._bounds):
            self._cancel(self._bounds.pop(unit))

    def keep(self, unit: str) -> None:
        """Keep this unit's journal within its bound from now on."""
        if unit not in self._bounds:
            bound = self._bounds[unit] = _Bound(unit)
            self._look(bound)

    def drop(self, unit: str) -> None:
        """Nobody writes to this unit's journal any more."""
        bound = self._bounds.pop(unit, None)
        if bound is not None:
            self._cancel(bound)
            if bound.watch is not None:
                del self._watches[bound.watch]
                linux.inotify_remove(self._fd, bound.watch)

    def _look(self, bound: _Bound) -> None:
        """Cut the journal if it is too large; look again soon while it grows, else wait for the next line."""
        bound.timer = None
        try:
            size = self._journals.cut(bound.unit)
        except OSError as error:
            _log.error("cannot cut a journal", unit=bound.unit, error=str(error))
            size = bound.size
        now = self._loop.time()
        grown, bound.size = size - bound.size, size
        rate = grown / max(now - bound.looked_at, 0.001)
        bound.looked_at = now
        if grown > 0 and rate > CUT_ABOVE_BYTES / 3600:
            self._look_in(bound, min(max(CUT_ABOVE_BYTES / 4 / rate, _SOONEST_S), _LATEST_S))
        else:
            self._wait_for_a_line(bound)

    def _wait_for_a_line(self, bound: _Bound) -> None:
        path = os.fsencode(self._journals.path(bound.unit))
        try:
            bound.watch = linux.inotify_add(self._fd, path, linux.IN_MODIFY | linux.IN_ONESHOT)
        except OSError:  # the user has used up all watches, or somebody removed the file
            self._look_in(bound, _LATEST_S)
        else:
            self._watches[bound.watch] = bound

    def _readable(self) -> None:
        for event in linux.inotify_read(self._fd):
            bound = self._watches.pop(event.watch, None)
            if bound is not None:
                bound.watch = None
                self._look_in(bound, _FIRST_S)

    def _look_in(self, bound: _Bound, seconds: float) -> None:
        self._cancel(bound)
        bound.timer = self._loop.call_later(seconds, self._look, bound)

    def _cancel(self, bound: _Bound) -> None:
        if bound.timer is not None:
            bound.timer.cancel()
            bound.timer = None
