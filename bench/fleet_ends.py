"""Ends: hosts that die, leaders that die, daemons that die; until what ran there runs again, and where."""

from __future__ import annotations

import json
import os
import signal
import sys
import time

from tests.support.eventually import eventually

from bench.baselines import Figure
from bench.local import client_of, cut_power, processes, switch_on, unit_processes, wait_for_units
from bench.workload import COMMAND, Bench

UNITS = 25
"""Five a worker."""

LATE_S = 9.0
"""No failover is meant to take longer; of one that does the steps are printed."""

SEE_S = 8.0
"""How long it is watched that nothing moves: longer than a lease lasts."""


def failover(bench: Bench) -> list[Figure]:
    """Everything on a worker dies at once: until its units run elsewhere."""
    cases = (
        ("a worker killed: its units running elsewhere", 3, 6.0, "28 s (TTL 30), 8 s (TTL 5)", "20 s", _plain),
        ("the same, it carries the engine's leader", 3, 6.5, "29 s", "50 s", _engine),
        ("the same, it carries the engine's and etcd's leader", 3, 9.0, "9 s", "", _both),
    )
    figures = []
    bench.start(UNITS)
    for what, runs, target, fleet, swarm, choose in cases:
        samples = [_killed(bench, choose(bench)) for _ in bench.repeat(runs)]
        figures.append(Figure(what=what, samples=samples, target=target, fleet=fleet, swarm=swarm))
    return figures


def _killed(bench: Bench, host: str) -> float:
    with client_of(bench.cluster, without=host) as client:
        held = {unit.name for unit in client.units().units if unit.machine and unit.machine.name == host}
        if not held:
            raise RuntimeError(f"{host} holds no unit: there is nothing to measure")
        begin = time.monotonic()
        cut_power(bench.cluster, host)
        end = wait_for_units(
            client,
            lambda units: all(
                unit.active == "active" and unit.machine is not None and unit.machine.name != host
                for unit in (units[name] for name in held)
            ),
            within_s=60,
            what=f"the units of {host} run elsewhere",
        )
    if end - begin > LATE_S:
        print(f"{host} was replaced after {end - begin:.1f} s; by the events:", file=sys.stderr)
        print(bench.cluster.run("fleetctl", "events", "--kind", "failover", "-n", "10"), file=sys.stderr)
    bench.cluster.run("inaetics", "up", host)
    _spread(bench)
    return end - begin


def _spread(bench: Bench) -> None:
    """Begin anew with units on every worker: those that moved do not go back by themselves."""
    bench.tidy()
    bench.start(UNITS)
    bench.settle()


def _plain(bench: Bench) -> str:
    return "worker-5"


def _engine(bench: Bench) -> str:
    leader = _leader(bench)
    if leader == _etcd_leader(bench):
        _move_etcd_leader(bench, next(host for host in ("worker-1", "worker-2", "worker-3") if host != leader))
    return leader


def _both(bench: Bench) -> str:
    leader = _leader(bench)
    if leader != _etcd_leader(bench):
        _move_etcd_leader(bench, leader)
    return leader


def _leader(bench: Bench) -> str:
    """The host whose API carries the engine's leader."""
    with client_of(bench.cluster) as client:
        return str(eventually(lambda: client.health().leader, within_s=30, what="an engine leads"))


def _members(bench: Bench) -> list[dict[str, object]]:
    said = bench.cluster.run(
        "inaetics", "ssh", "worker-1", "--", "etcdctl", "endpoint", "status", "--cluster", "-w", "json"
    )
    found: list[dict[str, object]] = json.loads(said)
    return found


def _host_of(bench: Bench, member: dict[str, object]) -> str:
    address = str(member["Endpoint"]).split("//")[1].split(":")[0]
    number = int(address.rsplit(".", 1)[1]) - 100
    return f"worker-{number}"


def _etcd_leader(bench: Bench) -> str:
    members = _members(bench)
    status = members[0]["Status"]
    assert isinstance(status, dict)
    return next(_host_of(bench, member) for member in members if _id_of(member) == status["leader"])


def _id_of(member: dict[str, object]) -> int:
    status = member["Status"]
    assert isinstance(status, dict)
    number: int = status["header"]["member_id"]
    return number


def _move_etcd_leader(bench: Bench, to: str) -> None:
    member = next(each for each in _members(bench) if _host_of(bench, each) == to)
    bench.cluster.run("inaetics", "ssh", _etcd_leader(bench), "--", "etcdctl", "move-leader", f"{_id_of(member):x}")
    eventually(lambda: _etcd_leader(bench) == to, within_s=20, what=f"etcd's leader is on {to}")


def resumed(bench: Bench) -> list[Figure]:
    """A host loses everything and is switched on again at once: how long its units are down, and where they are."""
    down, moved = [], []
    bench.start(UNITS)
    bench.settle()
    for _ in bench.repeat(5):
        with client_of(bench.cluster) as client:
            held = [unit.name for unit in client.units().units if unit.machine and unit.machine.name == "worker-5"]
            begin = time.monotonic()
            cut_power(bench.cluster, "worker-5")
            switch_on(bench.cluster, "worker-5")
            end = begin + 60
            while _running_on(bench, "worker-5") < len(held) and time.monotonic() < end:
                time.sleep(0.01)
            down.append(time.monotonic() - begin)
            time.sleep(SEE_S if not bench.quick else 1)
            still = {unit.name for unit in client.units().units if unit.machine and unit.machine.name == "worker-5"}
            moved.append(float(len(set(held) - still)))
    return [
        Figure(
            what="a worker's processes killed and started again at once: units down",
            samples=down,
            target=2.0,
            fleet="22-31 s",
        ),
        Figure(what="the same: units that moved (of 5)", samples=moved, measure="", target=0.0),
    ]


def _running_on(bench: Bench, host: str) -> int:
    return sum(where == host for where in unit_processes(bench.cluster, COMMAND).values())


def agent_killed(bench: Bench) -> list[Figure]:
    """An agent is killed and started again by its supervisor: what moved, doubled, or got another process."""
    changed, doubled, moved, back = [], [], [], []
    bench.start(UNITS)
    bench.settle()
    for _ in bench.repeat(3):
        with client_of(bench.cluster) as client:
            before = unit_processes(bench.cluster, COMMAND)
            places = {unit.name: unit.machine for unit in client.units().units}
            (pid,) = (pid for pid, host in processes(bench.cluster)["fleet agent"].items() if host == "worker-4")
            begin = time.monotonic()
            os.kill(pid, signal.SIGKILL)
            most = 0
            came: float | None = None
            while time.monotonic() - begin < (SEE_S if not bench.quick else 3):
                most = max(most, len(unit_processes(bench.cluster, COMMAND)))
                agents = processes(bench.cluster)["fleet agent"]
                if came is None and any(host == "worker-4" and each != pid for each, host in agents.items()):
                    came = time.monotonic() - begin
                time.sleep(0.05)
            changed.append(float(len(before.keys() ^ unit_processes(bench.cluster, COMMAND).keys())))
            doubled.append(float(most - len(before)))
            moved.append(float(sum(places[unit.name] != unit.machine for unit in client.units().units)))
            back.append(came if came is not None else float("inf"))
    what = "an agent killed with -9"
    return [
        Figure(what=f"{what}: units that moved", samples=moved, measure="", target=0.0, fleet="all"),
        Figure(what=f"{what}: units running twice", samples=doubled, measure="", target=0.0, fleet="all, for 32 s"),
        Figure(what=f"{what}: processes of units that changed", samples=changed, measure="", target=0.0, fleet="all"),
        Figure(what=f"{what}: a new one runs after", samples=back),
    ]
