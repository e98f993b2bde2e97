"""How the hosts are now: what of each runs, and what its supervisor says about the system units."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from inaetics.errors import InaeticsError
from inaetics.hosts.cluster import Host
from inaetics.hosts.paths import ClusterPaths, HostPaths
from inaetics.hosts.processes import alive, processes
from inaetics.hosts.system_units import system_units
from inaetics.supervisor.client import EmbeddedSupervisor
from inaetics.supervisor.protocol import Active, UnitStatus
from inaetics.tasks import TaskGroup

ANSWER_S = 2.0
"""A supervisor that has not answered by then counts as silent."""


class HostState(StrEnum):
    """Every system unit is active; the rest of them are starting; some do not run, or nobody says; nothing is there."""

    RUNNING = "running"
    STARTING = "starting"
    DEGRADED = "degraded"
    HALTED = "halted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A host as seen now. `units` is every unit its supervisor knows, None when it does not answer."""

    host: Host
    processes: bool
    units: Mapping[str, UnitStatus] | None
    silence: str | None = None
    wanted: tuple[str, ...] = field(default=())

    @property
    def answers(self) -> bool:
        return self.units is not None

    @property
    def state(self) -> HostState:
        """Running means that every system unit is active."""
        if self.units is None:
            return HostState.DEGRADED if self.processes else HostState.HALTED
        actives = [self.units[name].active if name in self.units else Active.INACTIVE for name in self.wanted]
        if all(active is Active.ACTIVE for active in actives):
            return HostState.RUNNING
        starting = all(active in (Active.ACTIVE, Active.ACTIVATING) for active in actives)
        return HostState.STARTING if starting else HostState.DEGRADED

    @property
    def trouble(self) -> str | None:
        """What keeps the host from running, for people; None for a running or halted one."""
        if self.units is None:
            help = f"start it again: inaetics up {self.host.name}"
            return f"its supervisor does not answer: {self.silence} ({help})" if self.processes else None
        return "; ".join(_trouble(name, self.units.get(name)) for name in self.wanted if self._ails(name)) or None

    def _ails(self, name: str) -> bool:
        return self.units is None or name not in self.units or self.units[name].active is not Active.ACTIVE


def _trouble(name: str, status: UnitStatus | None) -> str:
    if status is None:
        return f"{name} is not known to its supervisor"
    return f"{name} is {status.active} ({status.sub})" + (f": {status.message}" if status.message else "")


async def observe(paths: ClusterPaths, hosts: Iterable[Host]) -> dict[str, Observation]:
    """Look at every host at once; never raises for one that is down."""
    running = processes()
    async with TaskGroup() as group:
        tasks = {
            host.name: group.create_task(
                _observe(host, paths.host(host.name), alive(paths.host(host.name), running)),
                name=f"observe {host.name}",
            )
            for host in hosts
        }
    return {name: task.result() for name, task in tasks.items()}


async def _observe(host: Host, paths: HostPaths, processes_live: bool) -> Observation:
    wanted = system_units(host)
    if not processes_live or not paths.supervisor_socket.exists():
        return Observation(host=host, processes=processes_live, units=None, silence="it has no socket", wanted=wanted)
    try:
        async with asyncio.timeout(ANSWER_S):
            units = await EmbeddedSupervisor(paths.supervisor_socket).states()
    except (InaeticsError, TimeoutError) as error:
        silence = str(error) or f"no answer in {ANSWER_S:.0f} s"
        return Observation(host=host, processes=True, units=None, silence=silence, wanted=wanted)
    return Observation(host=host, processes=True, units=units, wanted=wanted)
