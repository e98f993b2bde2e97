"""A supervisor in memory with the contract of the real ones, scriptable: slow or failing units, outages, reboots."""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from inaetics.errors import NotFound, Unavailable, UnitFileError
from inaetics.supervisor.protocol import Active, Supervisor, UnitGone, UnitStatus


class FakeSupervisor:
    """Units start and stop at once, unless told otherwise.

    `fails_on` are the words of a content that fails, by unit.
    `starts_with` is what a start leads to, by unit; `start_s` and `stop_s` how long these take; `refuses` the names
    whose `load` is refused, with the words. `calls` records what was asked, `pids` gives each run a new number. What
    a deadline stops ends at once.
    """

    def __init__(self) -> None:
        self.starts_with: dict[str, Active] = {}
        self.fails_on: dict[str, str] = {}
        self.start_s = 0.0
        self.stop_s = 0.0
        self.refuses: dict[str, str] = {}
        self.calls: list[tuple[str, str]] = []
        self.texts: dict[str, str] = {}
        self._units: dict[str, UnitStatus] = {}
        self._watchers: set[asyncio.Queue[UnitStatus | UnitGone | Unavailable]] = set()
        self._away = False
        self._next_pid = 1000
        self._timers: set[asyncio.TimerHandle] = set()
        self._deadline: asyncio.TimerHandle | None = None
        self.armed_until = -math.inf

    # What a test does to it.

    def add_system_unit(self, name: str) -> None:
        self._show(_status(name, "", Active.ACTIVE, "running", system=True))

    def end(self, name: str, active: Active, *, result: str = "success") -> None:
        """Have a unit end by itself."""
        sub = "failed" if active is Active.FAILED else "dead"
        self._show(replace(self._units[name], active=active, sub=sub, result=result, main_pid=None, exit_status=0))

    def reboot(self) -> None:
        """Forget everything, as a host does that lost its power; watches break."""
        self._units.clear()
        self.texts.clear()
        self._break_watches()

    @contextmanager
    def outage(self) -> Iterator[None]:
        """The daemon is dead; its units go on."""
        self._away = True
        self._break_watches()
        try:
            yield
        finally:
            self._away = False

    def known(self) -> set[str]:
        """The fleet's units that it has, running or not."""
        return {name for name, status in self._units.items() if not status.system}

    def running(self) -> dict[str, int]:
        """Which of the fleet's units run, with their pid."""
        return {
            name: status.main_pid
            for name, status in self._units.items()
            if status.main_pid is not None and not status.system
        }

    # The protocol.

    async def load(self, name: str, text: str, *, stop_when_lost: bool = False) -> None:
        await self._reach("load", name)
        if name in self.refuses:
            raise UnitFileError(self.refuses[name], line=1)
        self.texts[name] = text
        digest = hashlib.sha256(text.encode()).hexdigest()
        known = self._units.get(name) or _status(name, digest, Active.INACTIVE, "dead")
        self._show(replace(known, content_hash=digest, stop_when_lost=stop_when_lost))

    async def arm(self, within_s: float, *, since: float | None = None) -> None:
        await self._reach("arm", "")
        loop = asyncio.get_running_loop()
        within_s -= time.clock_gettime(time.CLOCK_BOOTTIME) - since if since is not None else 0.0
        if self._deadline:
            self._deadline.cancel()
        self._deadline = loop.call_later(within_s, self._lose_touch)
        self.armed_until = loop.time() + within_s

    async def start(self, name: str) -> None:
        await self._reach("start", name)
        if name not in self._units:
            raise NotFound(f"no unit '{name}' is loaded")
        if self._units[name].stop_when_lost and self.armed_until <= asyncio.get_running_loop().time():
            raise Unavailable(f"cannot start '{name}': nothing is armed")
        if self._units[name].active not in (Active.ACTIVE, Active.ACTIVATING):
            self._start(name)

    async def stop(self, name: str) -> None:
        await self._reach("stop", name)
        if name in self._units:
            self._stop(name, then=lambda: None)

    async def restart(self, name: str) -> None:
        await self._reach("restart", name)
        if name not in self._units:
            raise NotFound(f"no unit '{name}' is loaded")
        self._stop(name, then=lambda: self._start(name))

    async def unload(self, name: str) -> None:
        await self._reach("unload", name)
        if name in self._units:
            self._stop(name, then=lambda: self._forget(name))

    async def states(self) -> dict[str, UnitStatus]:
        await self._reach("states", "")
        return dict(self._units)

    async def watch(self) -> AsyncIterator[UnitStatus | UnitGone]:
        await self._reach("watch", "")
        queue: asyncio.Queue[UnitStatus | UnitGone | Unavailable] = asyncio.Queue()
        for status in self._units.values():
            queue.put_nowait(status)
        self._watchers.add(queue)
        try:
            while True:
                event = await queue.get()
                if isinstance(event, Unavailable):
                    raise event
                yield event
        finally:
            self._watchers.discard(queue)

    async def journal(self, name: str, *, lines: int = 10, follow: bool = False) -> AsyncIterator[str]:
        await self._reach("journal", name)
        if name not in self._units:
            raise NotFound(f"no journal of '{name}'")
        for number in range(lines):
            yield f"{name} line {number}"

    # How it works.

    def _lose_touch(self) -> None:
        for name, status in self._units.items():
            if status.stop_when_lost and status.active not in (Active.INACTIVE, Active.FAILED):
                self.end(name, Active.FAILED, result="lost-touch")

    async def _reach(self, what: str, name: str) -> None:
        await asyncio.sleep(0)
        if self._away:
            raise Unavailable(f"cannot {what} {name}: the supervisor does not answer")
        if name:
            self.calls.append((what, name))

    def _start(self, name: str) -> None:
        active = self.starts_with.get(name, Active.ACTIVE)
        if name in self.fails_on and self.fails_on[name] in self.texts[name]:
            active = Active.FAILED
        self._next_pid += 1
        pid = self._next_pid if active in (Active.ACTIVE, Active.ACTIVATING) else None
        sub = {Active.ACTIVE: "running", Active.ACTIVATING: "start", Active.FAILED: "failed"}.get(active, "dead")
        now = time.time()
        known = self._units[name]
        starting = replace(known, active=Active.ACTIVATING, sub="start", main_pid=pid, since=now)
        starting = replace(starting, run_hash=known.content_hash)
        self._show(replace(starting, pulled_at=now, started_at=now))

        def end() -> None:
            if name in self._units:
                self._show(replace(self._units[name], active=active, sub=sub, main_pid=pid, since=time.time()))

        if self.start_s:
            self._timers.add(asyncio.get_running_loop().call_later(self.start_s, end))
        else:
            end()

    def _stop(self, name: str, *, then: object) -> None:
        assert callable(then)
        status = self._units[name]

        def end() -> None:
            if name in self._units:
                self._show(
                    replace(self._units[name], active=Active.INACTIVE, sub="dead", main_pid=None, since=time.time())
                )
                then()

        if status.main_pid is None or not self.stop_s:
            end()
            return
        self._show(replace(status, active=Active.DEACTIVATING, sub="stop-sigterm"))
        self._timers.add(asyncio.get_running_loop().call_later(self.stop_s, end))

    def _show(self, status: UnitStatus) -> None:
        self._units[status.name] = status
        for watcher in self._watchers:
            watcher.put_nowait(status)

    def _forget(self, name: str) -> None:
        del self._units[name]
        for watcher in self._watchers:
            watcher.put_nowait(UnitGone(name=name))

    def _break_watches(self) -> None:
        for watcher in self._watchers:
            watcher.put_nowait(Unavailable("the supervisor went away"))


def _status(name: str, content_hash: str, active: Active, sub: str, *, system: bool = False) -> UnitStatus:
    return UnitStatus(
        name=name,
        load="loaded",
        active=active,
        sub=sub,
        result="success",
        content_hash=content_hash,
        since=0.0,
        system=system,
    )


if TYPE_CHECKING:
    _: type[Supervisor] = FakeSupervisor
