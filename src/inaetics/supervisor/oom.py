"""Learning at once that the kernel killed a process for want of memory, whichever of a unit's processes it was.

The ends of known processes are looked at anyway (`Processes`); this is for the others, and works where the unit's
memory is limited: v2 tells by inotify, v1 by an event descriptor.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from inaetics.supervisor import linux

_LOOKS_S = (0.0, 0.02, 0.1, 0.5)
"""v1 tells of the shortage before it chooses a victim, so its counter is looked at several times."""


class OomWatch:
    """Calls `look` soon after memory ran out in the group whose counter is `path`, until closed. Raises OSError."""

    def __init__(self, path: str, look: Callable[[], None]) -> None:
        self._look = look
        self._timers: list[asyncio.TimerHandle] = []
        self._fd = _events_of_v1(path) if path.endswith("memory.oom_control") else _changes_of(path)
        asyncio.get_running_loop().add_reader(self._fd, self._readable)

    def close(self) -> None:
        """Watch no more."""
        for timer in self._timers:
            timer.cancel()
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)

    def _readable(self) -> None:
        os.read(self._fd, 4096)
        for timer in self._timers:
            timer.cancel()
        loop = asyncio.get_running_loop()
        self._timers = [loop.call_later(seconds, self._look) for seconds in _LOOKS_S]


def _changes_of(path: str) -> int:
    fd = linux.inotify_open()
    try:
        linux.inotify_add(fd, os.fsencode(path), linux.IN_MODIFY)
    except OSError:
        os.close(fd)
        raise
    return fd


def _events_of_v1(path: str) -> int:
    events = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
    try:
        control = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with open(f"{os.path.dirname(path)}/cgroup.event_control", "w", encoding="ascii") as file:
                file.write(f"{events} {control}")
        finally:
            os.close(control)
    except OSError:
        os.close(events)
        raise
    return events
