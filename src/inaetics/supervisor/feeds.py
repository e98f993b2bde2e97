"""Telling those who watch: unit changes merged per watcher, and growing journals. Nobody who is slow holds others up.

A watcher has a set of names that changed and takes it when it has time; so what waits for it is bounded by the
number of units, and the last change of each always arrives.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

from inaetics.override import override
from inaetics.supervisor import linux

_LOOK_EVERY_S = 0.5


class Watcher:
    """What one client has not been told yet."""

    def __init__(self, names: list[str]) -> None:
        self._names = dict.fromkeys(names)
        self._arrived = asyncio.Event()

    def put(self, name: str) -> None:
        """Note that something changed about `name`."""
        self._names[name] = None
        self._arrived.set()

    async def take(self) -> list[str]:
        """Wait until there is something to tell, and return the names."""
        while not self._names:
            self._arrived.clear()
            await self._arrived.wait()
        names, self._names = list(self._names), {}
        return names


class Feed:
    """All watchers."""

    def __init__(self) -> None:
        self._watchers: set[Watcher] = set()

    def changed(self, name: str) -> None:
        """Tell all watchers."""
        for watcher in self._watchers:
            watcher.put(name)

    @contextmanager
    def watching(self, names: list[str]) -> Iterator[Watcher]:
        """Yield a watcher that begins with `names`."""
        watcher = Watcher(names)
        self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)


class Growth:
    """Notices that files were written to, by inotify, and only while somebody asks."""

    def __init__(self) -> None:
        self._fd = -1
        self._waiting: dict[int, set[Written]] = {}

    @contextmanager
    def watching(self, path: str) -> Iterator[Written]:
        """Yield something to wait for that comes whenever the file is written to."""
        try:
            watch = self._join(path)
        except OSError:  # the user has used up all watches: look now and then instead
            yield Written(look_every_s=_LOOK_EVERY_S)
            return
        written = Written()
        self._waiting.setdefault(watch, set()).add(written)
        try:
            yield written
        finally:
            self._leave(watch, written)

    def _join(self, path: str) -> int:
        if self._fd < 0:
            self._fd = linux.inotify_open()
            asyncio.get_running_loop().add_reader(self._fd, self._readable)
        return linux.inotify_add(self._fd, os.fsencode(path), linux.IN_MODIFY)

    def _leave(self, watch: int, written: Written) -> None:
        self._waiting[watch].discard(written)
        if not self._waiting[watch]:
            del self._waiting[watch]
            linux.inotify_remove(self._fd, watch)
        if not self._waiting:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _readable(self) -> None:
        for event in linux.inotify_read(self._fd):
            for written in self._waiting.get(event.watch, ()):
                written.set()


class Written(asyncio.Event):
    """Is set when a file was written to; with `look_every_s`, at least so often whether it was or not."""

    def __init__(self, *, look_every_s: float | None = None) -> None:
        super().__init__()
        self._look_every_s = look_every_s

    @override
    async def wait(self) -> Literal[True]:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._look_every_s):
                await super().wait()
        return True
