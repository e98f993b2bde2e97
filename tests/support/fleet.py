"""A small fleet in one process: a fake store, engines and agents over fake supervisors; made to be broken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from inaetics.fleet.agent import Agent
from inaetics.fleet.engine import Engine
from inaetics.fleet.mirror import Mirror
from inaetics.fleet.model import Machine, MachineId, UnitName
from inaetics.fleet.registry import Registry
from inaetics.fleet.settings import AgentSettings, EngineSettings
from inaetics.store.fake import FakeStore
from inaetics.store.protocol import Store
from tests.support.eventually import aeventually
from tests.support.fake_supervisor import FakeSupervisor

ENGINE = EngineSettings(lease_ttl_s=5, machine_ttl_s=0.3, lost_margin_s=0.2, full_pass_s=600)
AGENT = AgentSettings(lease_ttl_s=5, retry_s=0.05, passing_delay_s=0.1, full_pass_s=600)
"""No safety nets: what tests see comes from watching."""


def service(*options: str) -> str:
    """A unit file with these options of [X-Fleet]."""
    fleet = "\n".join(("[X-Fleet]", *options)) if options else ""
    return f"[Service]\nExecStart=/bin/sleep 1000\n{fleet}\n"


def machine_id(number: int) -> MachineId:
    return MachineId(f"{number:032x}")


@dataclass
class Running:
    """Something that runs in a task of its own, until `stop`."""

    task: asyncio.Task[None]

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])


@dataclass
class Fleet:
    """`workers` machines called worker-1 …, one mirror, and a registry."""

    store: FakeStore
    mirror: Mirror
    registry: Registry
    group: asyncio.TaskGroup
    supervisors: dict[int, FakeSupervisor] = field(default_factory=dict)
    clients: dict[int, FakeStore] = field(default_factory=dict)
    agents: dict[int, Running] = field(default_factory=dict)
    told: dict[int, Agent] = field(default_factory=dict)
    """The agents themselves, by number: what tests tell them."""
    engines: list[Running] = field(default_factory=list)
    runs: list[Running] = field(default_factory=list)
    engine_file: Path | None = None
    settings: AgentSettings = AGENT

    def run(self, work: Callable[[], Coroutine[None, None, None]], name: str) -> Running:
        running = Running(self.group.create_task(work(), name=name))
        self.runs.append(running)
        return running

    def start_agent(
        self,
        number: int,
        *,
        store: Store | None = None,
        desired_file: Path | None = None,
        settings: AgentSettings | None = None,
        **metadata: str,
    ) -> Agent:
        """Start worker-`number`'s agent, over the supervisor it had before if it had one."""
        supervisor = self.supervisors.setdefault(number, FakeSupervisor())
        self.clients[number] = self.store.client()
        client = store or self.clients[number]
        machine = Machine(
            id=machine_id(number),
            name=f"worker-{number}",
            address=f"127.17.8.{100 + number}",
            incarnation="",
            metadata=metadata,
        )
        agent = Agent(
            client,
            supervisor,
            machine,
            engine_file=self.engine_file,
            desired_file=desired_file,
            settings=settings or self.settings,
        )
        self.agents[number] = self.run(agent.run, f"agent {number}")
        self.told[number] = agent
        return agent

    def start_engine(self, candidate: str, mirror: Mirror | None = None, settings: EngineSettings = ENGINE) -> Running:
        engine = Engine(self.store, mirror or self.mirror, candidate=candidate, settings=settings)
        running = self.run(engine.run, f"engine {candidate}")
        self.engines.append(running)
        return running

    def where(self, name: str) -> list[str]:
        """The names of the machines on which the unit is placed."""
        return [
            placement.machine_name
            for (_, unit), placement in sorted(self.mirror.snapshot.placements.items())
            if unit == UnitName(name)
        ]

    def active(self, name: str) -> list[str]:
        """The machines that report the unit as active."""
        machines = self.mirror.snapshot.machines
        return [
            machines[machine].name
            for (machine, unit), state in sorted(self.mirror.snapshot.states.items())
            if unit == UnitName(name) and state.active == "active" and machine in machines
        ]

    def runs_on(self, name: str) -> list[int]:
        """Where the unit really runs."""
        return [number for number, supervisor in sorted(self.supervisors.items()) if name in supervisor.running()]

    async def until(self, check: Callable[[], object], what: str, *, within_s: float = 30) -> None:
        async def checked() -> object:
            return check()

        await aeventually(checked, within_s=within_s, what=what)


@asynccontextmanager
async def fleet(
    workers: int,
    *,
    engine: bool = True,
    settings: EngineSettings = ENGINE,
    engine_file: Path | None = None,
    agents: AgentSettings = AGENT,
) -> AsyncIterator[Fleet]:
    """A fleet of `workers` machines, all listed, with one engine that leads."""
    store = FakeStore()
    mirror = Mirror(store)
    async with asyncio.TaskGroup() as group:
        made = Fleet(store, mirror, Registry(store), group, engine_file=engine_file, settings=agents)
        made.run(mirror.run, "mirror")
        await mirror.ready()
        if engine:
            made.start_engine("worker-1", settings=settings)
        for number in range(1, workers + 1):
            made.start_agent(number, role="inaetics-agent")
        await made.until(lambda: len(mirror.snapshot.machines) == workers, "all machines are listed")
        try:
            yield made
        finally:
            for run in made.runs:
                await run.stop()
