"""How long the engine thinks: a cold plan of 10,000 units on 1,000 machines, and one more unit.

    python -m bench.plan [--save]

The mixes are what fleets look like: instances of few templates; some keep apart, ask for metadata, or go together. In
the second one they declare what they need and spread over zones; machines are of two sizes: small ones fill up early.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from bench.baselines import Figure, add_save, finish
from inaetics.fleet import mapper
from inaetics.fleet.balance import plan_rebalance
from inaetics.fleet.fold import UnitChanged
from inaetics.fleet.model import Desired, File, Machine, MachineId, Placement, Snapshot, Unit, UnitName
from inaetics.fleet.planner import Planner, plan

MACHINES = 1_000
UNITS = 10_000
RUNS = 5
COLD_MS, ONE_MORE_MS = 1000.0, 1.0
"""What a cold plan and one more unit may take."""
NOBODY: frozenset[MachineId] = frozenset()

TEMPLATES = {
    "web": ("Conflicts=web@*.service", 800),
    "db": ("Conflicts=db@*.service\nMachineMetadata=disk=ssd", 300),
    "cache": ("MachineOf=web@%i.service", 400),
    "edge": ("MachineMetadata=zone=a\nMachineMetadata=zone=b", 1_500),
    "batch": ("Conflicts=db@*.service", 2_000),
    "plain": ("", 4_999),
    "everywhere": ("Global=yes", 1),
}

WITH_NEEDS = {
    "web": ("Memory=1G\nCPU=0.5\nSpreadBy=zone", 2_000),
    "db": ("Memory=6G\nCPU=2\nConflicts=db@*.service\nMachineMetadata=disk=ssd", 300),
    "cache": ("MachineOf=web@%i.service\nMemory=256M", 400),
    "edge": ("SpreadBy=zone\nMachineMetadata=zone=a\nMachineMetadata=zone=b\nCPU=0.2", 1_500),
    "batch": ("Memory=2G\nCPU=1", 2_000),
    "rack": ("SpreadBy=rack\nMemory=100M", 1_000),
    "plain": ("Memory=50M", 2_799),
    "everywhere": ("Global=yes\nMemory=64M", 1),
}

Mix = Mapping[str, tuple[str, int]]


def machines() -> dict[MachineId, Machine]:
    found = {}
    for number in range(MACHINES):
        machine = MachineId(f"{number:032x}")
        metadata = {
            "zone": "abcd"[number % 4],
            "disk": "ssd" if number % 3 == 0 else "hdd",
            "rack": f"r{number // 40}",
        }
        memory, cores = (8, 4.0) if number % 2 else (64, 32.0)
        found[machine] = Machine(
            id=machine,
            name=f"w{number}",
            address="",
            incarnation="1",
            metadata=metadata,
            memory=memory << 30,
            cores=cores,
            revision=1,
        )
    return found


def unit(name: str, text: str) -> Unit:
    return Unit(
        name=UnitName(name),
        text=text,
        content_hash=mapper.content_hash(text),
        desired=Desired.LAUNCHED,
        generation=1,
        revision=1,
    )


def service(options: str) -> str:
    return f"[Service]\nExecStart=/bin/sleep 1000\n[X-Fleet]\n{options}\n"


def units(mix: Mix) -> list[Unit]:
    found = []
    for template, (options, count) in mix.items():
        found += [unit(f"{template}@{number}.service", service(options)) for number in range(count)]
    assert len(found) == UNITS
    return found


def fleet(mix: Mix) -> Snapshot:
    """Nothing is placed yet."""
    wanted = units(mix)
    files = {each.content_hash: File(text=each.text, revision=1) for each in wanted}
    return Snapshot(revision=1, files=files, units={each.name: each for each in wanted}, machines=machines())


def placed(snapshot: Snapshot) -> Snapshot:
    """The same after its plan was written."""
    placements = {}
    for action in plan(snapshot):
        machine = getattr(action, "machine")  # noqa: B009 - all of a cold plan's actions place
        placements[machine, action.name] = Placement(
            unit=action.name,
            machine=machine,
            content_hash=snapshot.units[action.name].content_hash,
            desired=Desired.LAUNCHED,
            reason="",
            since=0.0,
            revision=2,
        )
    return replace(snapshot, placements=placements)


def timed(work: Callable[[], object]) -> float:
    gc.collect()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def cold(mix: Mix) -> tuple[float, int]:
    """One cold plan, from parsing the first file; how many units found a place."""
    snapshot = fleet(mix)
    found: list[int] = []
    seconds = timed(lambda: found.append(len(plan(snapshot))))
    return seconds, found[0]


def one_more(planner: Planner, snapshot: Snapshot, number: int, options: str) -> float:
    """Submit one unit to a fleet that is planned; the planner is told, and plans."""
    new = unit(f"more@{number}.service", service(options))
    assert isinstance(snapshot.units, dict)
    assert isinstance(snapshot.files, dict)
    snapshot.units[new.name] = new
    snapshot.files[new.content_hash] = File(text=new.text, revision=3)

    def work() -> None:
        planner.changed([UnitChanged(name=new.name, old=None, new=new)])
        assert len(planner.plan(lost=NOBODY)) == 1

    return timed(work)


def main() -> int:
    """Measure and print; returns 1 when a target was missed or something became worse."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_save(parser)
    given = parser.parse_args()
    needy = ("Memory=1G", "Memory=3G\nCPU=2", "SpreadBy=zone", "SpreadBy=rack\nCPU=1")
    figures = _measure("plain", TEMPLATES, ("", "MachineMetadata=zone=c", "Conflicts=web@*.service"))
    figures += _measure("with needs and spread", WITH_NEEDS, needy)
    return finish("plan", figures, keep=given.save)


def _measure(what: str, mix: Mix, more: Sequence[str]) -> list[Figure]:
    colds = [cold(mix) for _ in range(RUNS)]
    seconds = [each[0] for each in colds]
    found = [
        _figure(f"cold plan, {what}: {UNITS} units on {MACHINES} machines, {colds[0][1]} placements", seconds, COLD_MS)
    ]
    snapshot = placed(fleet(mix))
    planner = Planner(snapshot)
    planner.plan(lost=NOBODY)
    gc.collect()
    gc.freeze()
    for options in more:
        each = [one_more(planner, snapshot, number, options) for number in range(50)]
        found.append(_figure(f"one more unit {' '.join(options.split()) or '(plain)'}", each, ONE_MORE_MS))
    found.append(
        _figure(f"what would even it out, {what}", [timed(lambda: plan_rebalance(snapshot)) for _ in range(RUNS)])
    )
    gc.unfreeze()
    return found


def _figure(what: str, seconds: list[float], target_ms: float | None = None) -> Figure:
    return Figure(what=what, samples=[each * 1000 for each in seconds], measure="ms", target=target_ms)


if __name__ == "__main__":
    sys.exit(main())
