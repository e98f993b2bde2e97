"""`python -m inaetics.fleet.agent_main`: the agent of one host, told by the host's environment (`host.env`).

Told to stop, it leaves the units alone: they are the supervisor's. If none runs any more (the host goes down), it takes
its machine off the list, so that the engine acts at once; else its lease runs out by itself, and an agent that returns
before then goes on as if nothing had been.
"""

from __future__ import annotations

import sys

from inaetics.absent import do_without

if __name__ == "__main__":  # structlog loads these when it finds them, and an agent never has a terminal
    do_without("rich", "pygments")

import asyncio
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import structlog

from inaetics.errors import InaeticsError, InvalidInput, leaves
from inaetics.fleet.agent import Agent
from inaetics.fleet.agent_disk import follow_disk
from inaetics.fleet.agent_server import AgentServer, mutual_tls
from inaetics.fleet.capacity import capacity
from inaetics.fleet.model import Machine, MachineId
from inaetics.fleet.settings import AgentSettings
from inaetics.fleet.unit_commands import UnitCommands
from inaetics.logs import configure_logs
from inaetics.notify import notify
from inaetics.store.etcd import Tls, connect
from inaetics.supervisor.client import EmbeddedSupervisor
from inaetics.tasks import TaskGroup

_log = structlog.get_logger()

_NEEDED = ("MACHINE_ID", "HOST", "ADDRESS", "ETCD_ENDPOINTS", "PKI", "RUN", "STATE")


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentEnvironment:
    """What the host says of itself."""

    machine: Machine
    etcd_endpoints: tuple[str, ...]
    pki: Path
    supervisor_socket: Path
    engine_file: Path
    desired_file: Path
    settings: AgentSettings


def from_environment(environment: Mapping[str, str]) -> AgentEnvironment:
    """Read the `INAETICS_*` variables; raises InvalidInput that names every missing one."""
    missing = [f"INAETICS_{name}" for name in _NEEDED if not environment.get(f"INAETICS_{name}")]
    if missing:
        raise InvalidInput(
            f"cannot start the agent: {', '.join(missing)} not set"
            " (a host's system unit sets them; by hand: inaetics ssh HOST -- python -m inaetics.fleet.agent_main)"
        )
    memory, cores = capacity(environment)
    machine = Machine(
        id=MachineId(environment["INAETICS_MACHINE_ID"]),
        name=environment["INAETICS_HOST"],
        address=environment["INAETICS_ADDRESS"],
        incarnation="",
        metadata=_metadata(environment.get("INAETICS_METADATA", "")),
        memory=memory,
        cores=cores,
        version=version("inaetics-cluster"),
    )
    return AgentEnvironment(
        machine=machine,
        etcd_endpoints=tuple(filter(None, environment["INAETICS_ETCD_ENDPOINTS"].split(","))),
        pki=Path(environment["INAETICS_PKI"]),
        supervisor_socket=Path(environment["INAETICS_RUN"]) / "supervisor.sock",
        engine_file=Path(environment["INAETICS_STATE"]) / "engine.json",
        desired_file=Path(environment["INAETICS_STATE"]) / "desired.json",
        settings=_settings(environment),
    )


def _settings(environment: Mapping[str, str]) -> AgentSettings:
    text = environment.get("INAETICS_DISK_GRACE_SEC", "")
    if not text:
        return AgentSettings()
    try:
        return AgentSettings(disk_grace_s=max(0.0, float(text)))
    except ValueError as error:
        raise InvalidInput(f"cannot read INAETICS_DISK_GRACE_SEC: {text!r} is no number of seconds") from error


def _metadata(text: str) -> dict[str, str]:
    pairs = [pair.strip() for pair in text.split(",") if pair.strip()]
    wrong = [pair for pair in pairs if "=" not in pair]
    if wrong:
        raise InvalidInput(f"cannot read INAETICS_METADATA: {wrong[0]!r} is not KEY=VALUE (KEY=VALUE,KEY=VALUE …)")
    return {key.strip(): value.strip() for key, _, value in (pair.partition("=") for pair in pairs)}


async def serve(told: AgentEnvironment, *, stopping: asyncio.Event) -> None:
    """Serve until `stopping` is set."""
    tls = Tls(ca=told.pki / "ca.pem", cert=told.pki / "agent.pem", key=told.pki / "agent.key")
    plain = all(endpoint.startswith("http://") for endpoint in told.etcd_endpoints)
    supervisor = EmbeddedSupervisor(told.supervisor_socket)
    context = mutual_tls(ca=tls.ca, cert=tls.cert, key=tls.key)
    async with connect(told.etcd_endpoints, tls=None if plain else tls, tell_slow=True) as store:
        agent = Agent(
            store,
            supervisor,
            told.machine,
            engine_file=told.engine_file,
            desired_file=told.desired_file,
            settings=told.settings,
        )
        commands = UnitCommands(
            store, supervisor, told.machine.id, engine_file=told.engine_file, environment=os.environ
        )
        async with TaskGroup() as group:
            background = [
                group.create_task(agent.run(), name="agent"),
                group.create_task(
                    AgentServer(supervisor, commands).run(told.machine.address, context=context), name="server"
                ),
                group.create_task(_announce(agent), name="announce"),
                group.create_task(follow_disk(told.desired_file.parent, agent.tell_disk), name="disk"),
            ]
            await stopping.wait()
            notify("STOPPING=1")
            for task in background:
                task.cancel()
        await agent.leave()
    _log.info("agent stopped", machine=told.machine.name)


async def _announce(agent: Agent) -> None:
    """Say READY=1 once the fleet sees this machine, or once it does its part without the store."""
    await agent.settled.wait()
    notify("READY=1")


async def _main() -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    await serve(from_environment(os.environ), stopping=stopping)


def main() -> int:
    """Run until told to stop; returns the exit code."""
    configure_logs()
    failures: list[BaseException] = []
    try:
        asyncio.run(_main())
    except* InaeticsError as group:
        failures = leaves(group)
    for failure in failures:
        _log.error("agent ended", error=str(failure))
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
