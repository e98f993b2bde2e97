"""How long the engine thinks: a cold plan of 10,000 units on 1,000 machines, and one more unit.

    python -m bench.plan

The mix is what fleets look like: instances of few templates; some keep apart, ask for metadata, or go together.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

from inaetics.fleet import mapper
from inaetics.fleet.fold import UnitChanged
from inaetics.fleet.model import Desired, File, Machine, MachineId, Placement, Snapshot, Unit, UnitName
from inaetics.fleet.planner import Planner, plan

MACHINES = 1_000
UNITS = 10_000
RUNS = 5
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


def machines() -> dict[MachineId, Machine]:
    found = {}
    for number in range(MACHINES):
        machine = MachineId(f"{number:032x}")
        metadata = {"zone": "abcd"[number % 4], "disk": "ssd" if number % 3 == 0 else "hdd"}
        found[machine] = Machine(
            id=machine, name=f"w{number}", address="", incarnation="1", metadata=metadata, revision=1
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


def units() -> list[Unit]:
    found = []
    for template, (options, count) in TEMPLATES.items():
        found += [unit(f"{template}@{number}.service", service(options)) for number in range(count)]
    assert len(found) == UNITS
    return found


def fleet() -> Snapshot:
    """Nothing is placed yet."""
    wanted = units()
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


def cold() -> tuple[float, int]:
    """One cold plan, from parsing the first file; how many units found a place."""
    snapshot = fleet()
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


def main() -> None:
    colds = [cold() for _ in range(RUNS)]
    _print(f"cold plan, {UNITS} units on {MACHINES} machines ({colds[0][1]} placements)", [each[0] for each in colds])
    snapshot = placed(fleet())
    planner = Planner(snapshot)
    planner.plan(lost=NOBODY)
    gc.freeze()
    for options in ("", "MachineMetadata=zone=c", "Conflicts=web@*.service"):
        more = [one_more(planner, snapshot, number, options) for number in range(50)]
        _print(f"one more unit {options or '(plain)'}", more)


def _print(what: str, seconds: list[float]) -> None:
    middle, worst = statistics.median(seconds) * 1000, max(seconds) * 1000
    print(f"{what:75} median {middle:9.2f} ms   worst {worst:9.2f} ms")


if __name__ == "__main__":
    main()
