"""Waiting for hosts: the system units of several hosts as their supervisors report them, change by change."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from inaetics.errors import InaeticsError, Unavailable
from inaetics.hosts.cluster import Host, command
from inaetics.hosts.paths import ClusterPaths, HostPaths
from inaetics.hosts.system_units import system_units
from inaetics.store.background import beside
from inaetics.supervisor.client import EmbeddedSupervisor
from inaetics.supervisor.protocol import Active, UnitGone, UnitStatus
from inaetics.tasks import TaskGroup

RETRY_S = 0.03
TAIL_LINES = 8

HOPELESS = 4
"""A system unit that died this often while it was waited for: it goes on trying, the waiting does not."""


class Board:
    """What is known of the hosts' units now, and a signal for every change. A host is absent until it has answered."""

    def __init__(self, paths: ClusterPaths, hosts: Iterable[Host]) -> None:
        self.paths = paths
        self.hosts = tuple(hosts)
        self.units: dict[str, dict[str, UnitStatus]] = {}
        self._changed = asyncio.Event()
        self._restarts: Counter[tuple[str, str]] = Counter()

    @asynccontextmanager
    async def following(self) -> AsyncIterator[Board]:
        """Keep the board current inside the block."""
        async with beside(self._follow_all(), name="follow hosts"):
            yield self

    async def wait(self, check: Callable[[], bool], *, what: str, within_s: float) -> None:
        """Return once `check` holds, looked at whenever something changed.

        Raises `Unavailable` with the words of a system unit that failed for good, or when time is up.
        """
        try:
            async with asyncio.timeout(within_s):
                while not check():
                    await self._raise_failure()
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise Unavailable(f"waited {within_s:.0f} s for {what}: {await self._report()}") from None

    def active(self, host: str, unit: str) -> bool:
        status = self.units.get(host, {}).get(unit)
        return status is not None and status.active is Active.ACTIVE

    def all_active(self) -> bool:
        """Whether every system unit of every host is active."""
        return all(self.active(host.name, unit) for host in self.hosts for unit in system_units(host))

    async def _follow_all(self) -> None:
        async with TaskGroup() as group:
            for host in self.hosts:
                group.create_task(self._follow(self.paths.host(host.name)), name=f"follow {host.name}")

    async def _follow(self, paths: HostPaths) -> None:
        while True:
            try:
                async for event in EmbeddedSupervisor(paths.supervisor_socket).watch():
                    known = self.units.setdefault(paths.name, {})
                    if isinstance(event, UnitGone):
                        known.pop(event.name, None)
                    else:
                        known[event.name] = event
                        self._restarts[paths.name, event.name] += event.sub == "auto-restart"
                    self._changed.set()
            except Unavailable:
                self.units.pop(paths.name, None)
            await asyncio.sleep(RETRY_S)

    async def _raise_failure(self) -> None:
        for host in self.hosts:
            for unit in system_units(host):
                status = self.units.get(host.name, {}).get(unit)
                if status is not None and (
                    status.active is Active.FAILED or self._restarts[host.name, unit] >= HOPELESS
                ):
                    raise Unavailable(await self._words(host.name, unit, status))

    async def _report(self) -> str:
        waiting = [
            await self._words(host.name, unit, self.units.get(host.name, {}).get(unit))
            for host in self.hosts
            for unit in system_units(host)
            if not self.active(host.name, unit)
        ]
        return "; ".join(waiting[:3]) or "every system unit is active"

    async def _words(self, host: str, unit: str, status: UnitStatus | None) -> str:
        if host not in self.units:
            see = command(self.paths.name, f"journal {host} supervisor")
            return f"the supervisor of {host} does not answer (see: {see})"
        if status is None:
            return f"{unit} on {host} is not known to its supervisor"
        message = f": {status.message}" if status.message else ""
        lines = "".join(f"\n    {line}" for line in await self._tail(host, unit))
        return f"{unit} on {host} is {status.active} ({status.sub}){message}{lines}"

    async def _tail(self, host: str, unit: str) -> list[str]:
        supervisor = EmbeddedSupervisor(self.paths.host(host).supervisor_socket)
        try:
            async with asyncio.timeout(1):
                return [line async for line in supervisor.journal(unit, lines=TAIL_LINES)]
        except (InaeticsError, TimeoutError):
            return []  # a report about trouble stays a report when the journal is in trouble too
