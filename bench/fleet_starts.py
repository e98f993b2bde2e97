"""Starting: one unit, many units, a new machine; and the commands that look at them."""

from __future__ import annotations

import resource
import time
from collections import defaultdict
from collections.abc import Mapping
from functools import partial

from tests.support.eventually import eventually

from bench.baselines import Figure
from bench.local import client_of, cpu_s, processes, run_s, switch_on, unit_processes, wait_for_units
from bench.workload import COMMAND, TEXT, Bench
from inaetics.api.wire import UnitEntry

MANY = ((10, 5, 0.9), (100, 5, 1.5), (300, 3, 3.0), (1000, 3, 8.0))
"""How many units, how often, seconds to reach."""

_AT_ONCE = 1000

_FLEET = {10: "4.6 s", 100: "5.1 s", 300: "6.1 s", 1000: "19 s"}
_SWARM = {10: "2.3 s", 100: "18 s"}


def one_unit(bench: Bench) -> list[Figure]:
    """From the request, over an open connection, and from the command, to running."""
    requests = []
    with client_of(bench.cluster) as client:
        client.machines()
        for _ in bench.repeat(15):
            (number,) = bench.fresh()
            name = f"plain@{number}.service"
            begin = time.monotonic()
            client.submit(name, TEXT, desired="launched")
            end = wait_for_units(client, partial(_runs, name), within_s=20, what=f"{name} runs")
            requests.append(end - begin)
    commands = [bench.start(1) for _ in bench.repeat(9)]
    return [
        Figure(what="one unit, from the request to running", samples=requests, target=0.15),
        Figure(
            what="one unit, from the command to running", samples=commands, target=0.5, fleet="3.7 s", swarm="0.64 s"
        ),
    ]


def _runs(name: str, units: Mapping[str, UnitEntry]) -> bool:
    return name in units and units[name].active == "active"


def many(bench: Bench) -> list[Figure]:
    """From the command until all run."""
    figures = []
    for count, runs, target in MANY:
        samples = []
        for _ in bench.repeat(runs):
            samples.append(bench.start(count))
            bench.tidy()
        what = f"{count} plain units, from the command to all running"
        figures.append(
            Figure(what=what, samples=samples, target=target, fleet=_FLEET[count], swarm=_SWARM.get(count, ""))
        )
    return figures


def processor_time(bench: Bench) -> list[Figure]:
    """CPU seconds of everything that has a part in a start, which other work on the machine changes little."""
    spent: dict[str, list[float]] = defaultdict(list)
    for _ in bench.repeat(3):
        daemons = {kind: sorted(pids) for kind, pids in processes(bench.cluster).items()}
        before, command = {kind: sum(map(cpu_s, pids)) for kind, pids in daemons.items()}, _commands_s()
        bench.start(_AT_ONCE)
        spent["the command"].append(_commands_s() - command)
        time.sleep(1)  # what is reported late counts too
        for kind, pids in daemons.items():
            spent[kind].append(sum(map(cpu_s, pids)) - before[kind])
        spent["the units' own processes"].append(sum(map(run_s, unit_processes(bench.cluster, COMMAND))))
        bench.tidy()
    what = f"{_AT_ONCE} plain units at once"
    whole = Figure(
        what=f"{what}: processor time, all processes",
        samples=[sum(each) for each in zip(*spent.values(), strict=True)],
        measure="CPU s",
        target=13,
    )
    parts = [Figure(what=f"{what}: of that {kind}", samples=each, measure="CPU s") for kind, each in spent.items()]
    return [whole, *parts]


def _commands_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def writes(bench: Bench) -> list[Figure]:
    """Transactions in the store for each unit from submit to active: the revision counts them."""
    figures = []
    for count, target in ((1, 3.0), (300, 3.0)):
        samples = []
        for _ in bench.repeat(3):
            with client_of(bench.cluster) as client:
                before = client.health().revision
                bench.start(count)
                time.sleep(1)  # what is reported late counts too
                samples.append((client.changes(["none"]).revision - before) / count)
            bench.tidy()
        what = f"writes to the store for each of {count} units, from submit to active"
        figures.append(Figure(what=what, samples=samples, measure="", target=target))
    return figures


def new_machine(bench: Bench) -> list[Figure]:
    """A host that was off is switched on: until its machine is listed; and how much of it is its agent's part."""
    booted, joined = [], []
    with client_of(bench.cluster) as client:
        for _ in bench.repeat(5):
            bench.cluster.run("inaetics", "halt", "worker-5")
            eventually(lambda: len(client.machines()) == 4, within_s=30, what="four machines are listed")
            begin = time.monotonic()
            switch_on(bench.cluster, "worker-5")
            while "worker-5" not in processes(bench.cluster)["fleet agent"].values():
                time.sleep(0.002)
            agent = time.monotonic()
            while len(client.machines()) < 5:
                time.sleep(0.005)
            end = time.monotonic()
            booted.append(end - begin)
            joined.append(end - agent)
    return [
        Figure(
            what="a new machine, from the start of its agent to listed",
            samples=joined,
            target=0.5,
            fleet="0.13 s",
            swarm="0.16 s",
        ),
        Figure(what="a new machine, from switching its host on to listed", samples=booted),
    ]


def commands(bench: Bench) -> list[Figure]:
    """What people wait for most often."""
    bench.start(1000)
    listing = [bench.timed("fleetctl", "list-units") for _ in bench.repeat(9)]
    one = [bench.start(1) for _ in bench.repeat(5)]
    helped = [bench.timed("fleetctl", "--help") for _ in bench.repeat(9)]
    return [
        Figure(what="`fleetctl list-units` with 1,000 units", samples=listing, target=0.35),
        Figure(what="`fleetctl --help`", samples=helped, target=0.15),
        Figure(what="one more unit beside 1,000, from the command to running", samples=one),
    ]
