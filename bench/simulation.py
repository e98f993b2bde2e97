"""A fleet of a thousand machines on this one: the real agents over supervisors in memory, real etcd, API and engine.

    python -m bench.simulation [--only 200x5000,1000x10000] [--save]

For each size: until all machines are listed, until all units are active, one more unit, what it cost in writes, CPU and
memory, idle, and what becomes of a tenth of the machines' units when those die. Some five minutes; 3 GiB.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tests.support.etcd import EtcdCluster, etcd_cluster, make_certificates
from tests.support.eventually import eventually

from bench.baselines import Figure, add_save, finish
from bench.local import cpu_s, resident_mb, wait_for_units
from inaetics.api.client import FleetClient
from inaetics.api.wire import BatchEntry, UnitEntry

SIZES = {"200x5000": (200, 5_000, 60.0), "1000x10000": (1_000, 10_000, None)}
"""Machines, units, seconds until all are active."""

A_PROCESS = 100
"""Machines in one process: the last one's die in the end."""

IDLE_S = 20.0
WITHIN_S = 180.0
TEXT = "[Service]\nExecStart=/bin/sleep 1000000\n"


@dataclass(slots=True)
class Simulation:
    """What runs."""

    etcd: EtcdCluster
    client: FleetClient
    api: subprocess.Popen[bytes]
    agents: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def cpu(self) -> dict[str, float]:
        """CPU seconds so far."""
        return {
            "the API and engine": cpu_s(self.api.pid),
            "all agents": sum(cpu_s(each.pid) for each in self.agents),
            "etcd's three members": sum(map(cpu_s, self.members())),
        }

    def members(self) -> list[int]:
        return [int(path.read_text()) for path in self.etcd.directory.glob("m*.pid")]


@contextmanager
def simulation(machines: int) -> Iterator[tuple[Simulation, float]]:
    """So many machines, all listed; and how long that took."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="inaetics-simulation-")))
        etcd = stack.enter_context(etcd_cluster())
        address = f"{etcd.addresses[0].rsplit('.', 1)[0]}.100"
        make_certificates(directory, [address])
        common = ["--endpoints", ",".join(etcd.endpoints)]
        api = stack.enter_context(_process("api", *common, "--directory", str(directory), "--address", address))
        _ready(api)
        client = stack.enter_context(FleetClient(f"unix://{directory / 'fleet.sock'}", timeout_s=60))
        made = Simulation(etcd, client, api)
        began = time.monotonic()
        for first in range(0, machines, A_PROCESS):
            count = min(A_PROCESS, machines - first)
            agents = ["agents", *common, "--first", str(first), "--count", str(count)]
            made.agents.append(stack.enter_context(_process(*agents)))
        for each in made.agents:
            _ready(each)
        eventually(lambda: client.health().machines == machines, within_s=60, what="all machines are listed")
        yield made, time.monotonic() - began


@contextmanager
def _process(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "bench.simulated", *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            _close(pipe)


def _close(pipe: IO[bytes] | None) -> None:
    if pipe is not None:
        pipe.close()


def _ready(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    if process.stdout.readline().strip() != b"ready":
        raise RuntimeError(f"a process of the simulation ended: {process.args!r}")


def measure(label: str, machines: int, units: int, target: float | None) -> list[Figure]:
    """All figures of one size."""
    name = f"{units:,} units on {machines:,} machines"
    with simulation(machines) as (made, listed_s):
        cpu, revision = made.cpu(), made.client.health().revision
        began = time.monotonic()
        made.client.submit_many(
            [BatchEntry(name=f"plain@{n}.service", text=TEXT, desired="launched") for n in range(units)]
        )
        submitted_s = time.monotonic() - began
        active_s = _all_active(made, units) - began
        time.sleep(1)
        spent = {kind: seconds - cpu[kind] for kind, seconds in made.cpu().items()}
        written = made.client.changes(["none"]).revision - revision
        figures = [
            Figure(what=f"{name}: machines listed after", samples=[listed_s]),
            Figure(what=f"{name}: all submitted after", samples=[submitted_s]),
            Figure(what=f"{name}: all active after", samples=[active_s], target=target),
            Figure(what=f"{name}: writes to the store a unit", samples=[written / units], measure="", target=3.0),
        ]
        figures += [
            Figure(what=f"{name}: until then, CPU of {kind}", samples=[seconds], measure="CPU s")
            for kind, seconds in spent.items()
        ]
        figures += [
            Figure(
                what=f"{name}: one more unit, from the request to active",
                samples=[_one_more(made, n) for n in range(9)],
            ),
            Figure(what=f"{name}: memory of the API and engine", samples=[resident_mb(made.api.pid)], measure="MB"),
            Figure(
                what=f"{name}: memory of etcd's largest member",
                samples=[max(map(resident_mb, made.members()))],
                measure="MB",
            ),
        ]
        figures += _idle(made, name)
        figures.append(_some_die(made, name, units))
    return figures


def _active(unit: UnitEntry) -> bool:
    return unit.active == "active"


def _all_active(made: Simulation, units: int) -> float:
    def check(entries: Mapping[str, UnitEntry]) -> bool:
        time.sleep(0.2)  # many changes at once cost less than one by one
        return len(entries) >= units and all(map(_active, entries.values()))

    return wait_for_units(made.client, check, within_s=WITHIN_S, what=f"{units} units are active")


def _one_more(made: Simulation, number: int) -> float:
    name = f"more@{number}.service"
    began = time.monotonic()
    revision = made.client.submit(name, TEXT, desired="launched")
    told = made.client.changes([name])
    while not any(map(_active, told.units)):
        told = made.client.changes([name], after=max(revision, told.revision), wait_s=5)
        if time.monotonic() - began > WITHIN_S:
            raise TimeoutError(f"{name} does not become active")
    return time.monotonic() - began


def _idle(made: Simulation, name: str) -> list[Figure]:
    before = made.cpu()
    time.sleep(IDLE_S)
    return [
        Figure(what=f"{name}: idle, {kind}", samples=[(after - before[kind]) * 60 / IDLE_S], measure="CPU s/min")
        for kind, after in made.cpu().items()
    ]


def _some_die(made: Simulation, name: str, units: int) -> Figure:
    """The machines of one process die at once: until what ran there is active elsewhere, the lease's 30 s included."""
    dead = made.agents.pop()
    dead.kill()
    lost = {f"machine-{n}" for n in range(len(made.agents) * A_PROCESS, (len(made.agents) + 1) * A_PROCESS)}

    def elsewhere(entries: Mapping[str, UnitEntry]) -> bool:
        time.sleep(0.2)
        there = all(unit.machine is not None and unit.machine.name not in lost for unit in entries.values())
        return there and len(entries) >= units and all(map(_active, entries.values()))

    began = time.monotonic()
    end = wait_for_units(made.client, elsewhere, within_s=WITHIN_S, what="the units of dead machines run elsewhere")
    return Figure(
        what=f"{name}: {A_PROCESS} machines die, their units active elsewhere (leases of 30 s)", samples=[end - began]
    )


def main() -> int:
    """Measure and print; returns 1 when something became worse."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(SIZES), help=f"sizes, of {','.join(SIZES)}")
    add_save(parser)
    given = parser.parse_args()
    figures: list[Figure] = []
    for label in given.only.split(","):
        print(f"simulating: {label}", file=sys.stderr)
        figures += measure(label, *SIZES[label])
    return finish("simulation", figures, keep=given.save)


if __name__ == "__main__":
    sys.exit(main())
