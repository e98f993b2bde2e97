"""What people are told of a unit: the summary, the verdicts, what would help."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inaetics.errors import NotFound
from inaetics.fleet.board import Board
from inaetics.fleet.explain import explain
from inaetics.fleet.model import Desired, MachineId, Unit
from inaetics.fleet.requirements import RequirementsCache
from inaetics.fleet.scheduler import Scheduler
from tests.unit.fleet.leader import Leader, settle
from tests.unit.fleet.test_histories import FILES, NAMES, up
from tests.unit.fleet.world import World, machine_id, service

ALONE = service("Conflicts=%p@*.service")


def world_of(machines: int, *units: tuple[str, str]) -> World:
    world = World()
    for number in range(1, machines + 1):
        world.up(number, zone="x" if number % 2 else "y")
    for name, text in units:
        world.submit(name, text)
    settle(world, Leader(world), machines)
    return world


def test_an_unknown_unit_is_named() -> None:
    with pytest.raises(NotFound, match=r"no unit 'a\.service'"):
        explain(World().snapshot, "a.service")


def test_a_placed_unit_says_where_and_why() -> None:
    world = world_of(2, ("a.service", service()))
    explanation = explain(world.snapshot, "a.service")
    assert explanation.summary == "on w1: least loaded machine that fits (nothing else runs there)"
    assert not explanation.waits


def test_a_unit_nobody_asked_for_does_not_wait() -> None:
    world = World()
    world.submit("a.service", service(), Desired.INACTIVE)
    explanation = explain(world.snapshot, "a.service")
    assert not explanation.waits
    assert explanation.summary.startswith("submitted only")


@pytest.mark.parametrize(
    ("machines", "units", "summary", "remedies"),
    [
        pytest.param(
            0,
            [("q.service", service())],
            "there is no machine",
            ("one machine: inaetics up",),
            id="there is no machine",
        ),
        pytest.param(
            2,
            [("a@1.service", ALONE), ("a@2.service", ALONE), ("q.service", service("Conflicts=a@*.service"))],
            "no machine fits: 2 of 2 run a unit it conflicts with (a@1.service on w1 and a@2.service on w2)",
            ("w1 without a@1.service", "w2 without a@2.service", "one more machine"),
            id="conflicts name who is in the way",
        ),
        pytest.param(
            3,
            [("q.service", service("MachineMetadata=zone=z"))],
            "no machine fits: w1 and w3 have zone=x, not z; w2 has zone=y, not z",
            ("fleetctl metadata w1 zone=z", "fleetctl metadata w2 zone=z", "fleetctl metadata w3 zone=z"),
            id="metadata names what is asked for and what there is",
        ),
        pytest.param(
            1,
            [("q.service", service(f"MachineID={machine_id(7)}"))],
            "no machine fits: w1 is not machine 00000000, which it asks for",
            (),
            id="a machine that is not there",
        ),
        pytest.param(
            1,
            [("q.service", service("MachineOf=p.service"))],
            "no machine fits: w1 does not run p.service, which is not submitted",
            ("fleetctl start p.service",),
            id="a companion that is not there",
        ),
        pytest.param(
            1,
            [("q.service", service("MachineOf=q.service"))],
            "MachineOf=q.service leads back to itself: no machine can be right",
            ("fleetctl start q.service",),
            id="a circle",
        ),
    ],
)
def test_a_unit_that_waits_says_why(
    machines: int, units: list[tuple[str, str]], summary: str, remedies: tuple[str, ...]
) -> None:
    explanation = explain(world_of(machines, *units).snapshot, "q.service")
    assert explanation.waits
    assert explanation.summary == summary
    if not explanation.summary.startswith("MachineOf"):
        assert explanation.remedies == remedies


def test_a_cordoned_machine_says_so() -> None:
    world = World()
    world.up(1)
    world.operate(1, cordoned=True)
    world.submit("a.service", service())
    explanation = explain(world.snapshot, "a.service")
    assert explanation.summary == "no machine fits: w1 is cordoned: it takes no new units"
    assert explanation.remedies == ("fleetctl uncordon w1", "one more machine")


def test_what_would_help_is_all_that_one_machine_lacks_and_nothing_where_something_cannot_be_helped() -> None:
    world = World()
    for number in (1, 2):
        world.up(number, zone="x")
    world.operate(1, cordoned=True)
    world.submit("a.service", service("MachineMetadata=zone=y"))
    assert explain(world.snapshot, "a.service").remedies == (
        "fleetctl metadata w2 zone=y",
        "fleetctl uncordon w1 and fleetctl metadata w1 zone=y",
    )
    world.submit("b.service", service("MachineMetadata=zone=y", f"MachineID={machine_id(7)}"))
    assert explain(world.snapshot, "b.service").remedies == ()
    world.submit("c.service", service("MachineOf=c.service"))
    assert explain(world.snapshot, "c.service").remedies == (), "a circle is no better for being started"


def test_a_global_unit_says_once_what_is_the_same_of_many_machines() -> None:
    world = world_of(12, ("a.service", service("Global=true")))
    same = "global unit: on every machine that fits"
    assert explain(world.snapshot, "a.service").summary == f"on w1, w2, w3 and 9 more: {same}"
    world.gone(5)
    assert (
        explain(world.snapshot, "a.service").summary
        == f"on w1, w2, w3 and 8 more: {same}; its machine w5 does not answer"
    )


def rooms(*sizes: tuple[int, float], used: str = "Memory=1500M") -> World:
    """Machines w1 … of so many GiB and cores, a unit on each."""
    world = World()
    for number, (memory, cores) in enumerate(sizes, start=1):
        world.up(number, memory=memory << 30, cores=cores)
        world.submit(f"a@{number}.service", service(used, "Conflicts=a@*.service"))
    settle(world, Leader(world), len(sizes))
    return world


@pytest.mark.parametrize(
    ("options", "summary", "remedies"),
    [
        pytest.param(
            ("Memory=3G",),
            "no machine fits: it needs 3 GiB of memory, 2.5 of 4 GiB are free on w2, the most of 2",
            ("476 MiB less in use on w2", "1500 MiB less in use on w1", "one more machine"),
            id="numbers of the machine that lacks least",
        ),
        pytest.param(
            ("Memory=8G",),
            "no machine fits: it needs 8 GiB of memory, 2.5 of 4 GiB are free on w2, the most of 2",
            ("a machine with 8 GiB of memory",),
            id="more than any machine has",
        ),
        pytest.param(
            ("CPU=2.5",),
            "no machine fits: it needs 2.5 cores, 2 of 2 are free on w2, the most of 2",
            ("a machine with 2.5 cores",),
            id="cores",
        ),
    ],
)
def test_a_unit_without_room_says_so_in_numbers(
    options: tuple[str, ...], summary: str, remedies: tuple[str, ...]
) -> None:
    world = rooms((3, 1.0), (4, 2.0))
    world.submit("q.service", service(*options))
    explanation = explain(world.snapshot, "q.service")
    assert explanation.waits
    assert (explanation.summary, explanation.remedies) == (summary, remedies)


def test_what_a_unit_takes_itself_does_not_count_against_it() -> None:
    world = rooms((2, 1.0))
    [verdict] = explain(world.snapshot, "a@1.service").machines
    assert verdict.fits


def test_a_spread_is_told_and_excludes_nobody() -> None:
    world = World()
    for number, zone in enumerate("xxy", start=1):
        world.up(number, zone=zone)
    world.up(4)
    for number in range(1, 4):
        world.submit(f"a@{number}.service", service("SpreadBy=zone"))
    settle(world, Leader(world), 4)
    explanation = explain(world.snapshot, "a@3.service")
    assert [verdict.verdicts[-1].because for verdict in explanation.machines] == [
        "has zone=x, where 2 of a@.service are",
        "has zone=x, where 2 of a@.service are",
        "has zone=y, where 1 of a@.service is",
        "has no zone: it comes last",
    ]
    assert all(verdict.fits for verdict in explanation.machines)


def test_a_unit_on_a_lost_machine_waits_and_names_it() -> None:
    world = world_of(2, ("a@1.service", ALONE), ("a@2.service", ALONE))
    world.gone(2)
    explanation = explain(world.snapshot, "a@2.service")
    assert explanation.waits
    assert explanation.summary == (
        "its machine w2 does not answer; no other machine fits: 1 of 1 runs a unit it conflicts with "
        "(a@1.service on w1)"
    )


@settings(deadline=None)
@given(st.tuples(*(st.sampled_from((None, *FILES)) for _ in NAMES)), st.sets(st.integers(1, 4)))
def test_verdicts_agree_with_the_rules_and_with_the_scheduler(
    texts: tuple[str | None, ...], cordoned: set[int]
) -> None:
    """Seen to fail when a constraint is left out of the verdicts, or of the scheduler."""
    world = World()
    for number in range(1, 5):
        up(world, number, "x" if number % 2 else "y")
        world.operate(number, cordoned=number in cordoned, zone="x" if number % 2 else "y")
    for name, text in zip(NAMES, texts, strict=True):
        if text:
            world.submit(name, text)
    settle(world, Leader(world, per_transaction=50), 4)
    for unit in world.snapshot.units.values():
        explanation = explain(world.snapshot, unit.name)
        placed = {machine for machine, name in world.snapshot.placements if name == unit.name}
        for verdict in explanation.machines:
            if verdict.machine not in placed:
                assert verdict.fits is (world.problem(unit, verdict.machine) is None)
        assert {each.machine for each in explanation.machines if each.fits} == _accepted(world, unit)
        is_global = world.section(unit.name, unit.content_hash).is_global
        assert explanation.waits is not bool(placed) or is_global


def _accepted(world: World, unit: Unit) -> set[MachineId]:
    """Where the scheduler would send the unit if it had no place, one machine after the other."""
    board = Board(world.snapshot, RequirementsCache())
    scheduler = Scheduler(board)
    requirements = board.requirements(unit)
    for home in board.machines_of(unit.name):
        board.remove(home, unit.name)
    fits = {machine for machine in world.snapshot.machines if scheduler.fits(unit.name, requirements, machine)}
    choice = scheduler.choose(unit.name, requirements)
    if choice is None:
        assert requirements.is_global or not fits or scheduler.in_circle(unit.name, requirements)
        return set() if scheduler.in_circle(unit.name, requirements) else fits
    assert choice.machine in fits
    return fits
