"""The processes of a simulation: `python -m bench.simulated agents …` and `python -m bench.simulated api …`.

Agents are the real ones, over supervisors in memory whose units take a moment to start; a process has many of them, and
some share a connection to etcd: a thousand connections on one machine would mostly measure themselves. They say `ready`
on standard output, and end with standard input.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from pathlib import Path

import structlog
from tests.support.fake_supervisor import FakeSupervisor

from inaetics.api.endpoint import ClientTls
from inaetics.api.process import serve
from inaetics.api.settings import ApiSettings
from inaetics.fleet.agent import Agent
from inaetics.fleet.model import Machine, MachineId
from inaetics.fleet.settings import AgentSettings
from inaetics.store.etcd import connect

SHARE = 25
"""Agents on one connection."""

AGENT = AgentSettings(lease_ttl_s=30, full_pass_s=300)
"""A thousand leases of 5 s would be 600 renewals a second: more than all else that is simulated."""

START_S = 0.05
"""How long a unit takes to start."""


async def agents(endpoints: tuple[str, ...], first: int, count: int) -> None:
    """Run machines `first` … until standard input ends; say when all are listed."""
    shares = [range(at, min(at + SHARE, first + count)) for at in range(first, first + count, SHARE)]
    listed = asyncio.Barrier(len(shares) + 1)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_some(endpoints, share, listed), name=f"machines {share}") for share in shares]
        await listed.wait()
        print("ready", flush=True)
        await _until_told()
        for task in tasks:
            task.cancel()


async def _some(endpoints: tuple[str, ...], numbers: range, listed: asyncio.Barrier) -> None:
    async with connect(endpoints, timeout_s=30, silence_s=60) as store, asyncio.TaskGroup() as group:
        made = []
        for number in numbers:
            supervisor = FakeSupervisor()
            supervisor.start_s = START_S
            agent = Agent(store, supervisor, _machine(number), settings=AGENT)
            made.append(agent)
            group.create_task(agent.run(), name=f"machine {number}")
        for agent in made:
            await agent.listed.wait()
        await listed.wait()


def _machine(number: int) -> Machine:
    return Machine(
        id=MachineId(f"{number:032x}"),
        name=f"machine-{number}",
        address=f"10.0.{number // 250}.{number % 250 + 1}",
        incarnation="",
        metadata={"zone": "abcd"[number % 4], "disk": "ssd" if number % 3 == 0 else "hdd"},
    )


async def _until_told() -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()


async def api(endpoints: tuple[str, ...], directory: Path, address: str) -> None:
    """Run the API and the engine until standard input ends."""
    tls = ClientTls(ca=directory / "ca.pem", cert=directory / "server.pem", key=directory / "server.key")
    settings = ApiSettings(
        address=address,
        port=49153,
        socket=directory / "fleet.sock",
        tls=tls,
        etcd_endpoints=endpoints,
        candidate="simulation",
    )
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(
            serve(settings, stopping=stopping, ready=lambda: print("ready", flush=True)), name="API and engine"
        )
        await _until_told()
        stopping.set()


def main() -> None:
    """Play the role that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("role", choices=("agents", "api"))
    parser.add_argument("--endpoints", required=True)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--directory", type=Path)
    parser.add_argument("--address", default="")
    given = parser.parse_args()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    endpoints = tuple(given.endpoints.split(","))
    if given.role == "agents":
        asyncio.run(agents(endpoints, given.first, given.count))
    else:
        asyncio.run(api(endpoints, given.directory, given.address))


if __name__ == "__main__":
    main()
