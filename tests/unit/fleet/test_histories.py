"""Random histories of people, machines and leaders: the invariants hold at every revision, and all comes to rest."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inaetics.fleet.model import Desired, MachineId, UnitName
from inaetics.fleet.planner import plan
from tests.unit.fleet.leader import Leader, settle
from tests.unit.fleet.world import World, machine_id, service

MACHINES = 4
NAMES = (
    "a@1.service",
    "a@2.service",
    "a@3.service",
    "b@1.service",
    "b@2.service",
    "c.service",
    "d.service",
    "g.service",
)
FILES = (
    service(),
    service("Conflicts=a@*.service"),
    service("Conflicts=b@*.service", "Conflicts=a@1.service"),
    service("MachineMetadata=zone=x"),
    service("MachineMetadata=zone=y", "MachineMetadata=zone=x", "Conflicts=%p@*.service"),
    service("MachineOf=c.service"),
    service("MachineOf=d.service", "Conflicts=c.service"),
    service(f"MachineID={machine_id(2)}"),
    service("Global=yes"),
    service("Global=yes", "MachineMetadata=zone=x"),
    service("Replaces=b@*.service"),
    service("Replaces=a@*.service"),
    service("Memory=1G"),
    service("Memory=2G", "CPU=0.5"),
    service("Memory=2G", "MachineOf=c.service"),
    service("CPU=1", "SpreadBy=zone"),
)
GIB = 1 << 30

Step = tuple[object, ...]

names = st.sampled_from(NAMES)
numbers = st.integers(1, MACHINES)
zones = st.sampled_from(("x", "y"))
wishes = st.sampled_from(tuple(Desired))
deeds = st.one_of(
    st.tuples(st.just("submit"), names, st.sampled_from(FILES), wishes),
    st.tuples(st.just("submit"), names, st.sampled_from(FILES), st.just(Desired.LAUNCHED)),
    st.tuples(st.just("want"), names, wishes),
    st.tuples(st.just("destroy"), names),
    st.tuples(st.just("operate"), numbers, st.booleans(), zones),
    st.tuples(st.just("drain"), numbers, st.integers(1, 2), zones),
    st.tuples(st.just("rebalance"), st.integers(1, 2)),
    st.tuples(st.just("up"), numbers, zones),
    st.tuples(st.just("gone"), numbers, st.booleans()),
    st.tuples(st.just("act"), numbers),
    st.tuples(st.just("obey"), numbers),
)
steps = st.one_of(
    st.tuples(st.just("nothing")),  # what a failing history shrinks to
    deeds,
    deeds,
    st.tuples(st.just("race"), deeds, deeds),
    st.tuples(st.just("change_of_mind"), names, st.sampled_from(FILES), st.sampled_from((*FILES, None))),
    st.tuples(st.just("edit_just_then"), names, numbers, zones),
    st.tuples(st.just("flicker"), numbers, zones),
    st.tuples(st.just("race_to_acknowledge"), names, numbers),
    st.tuples(st.sampled_from(("wait", "plan", "commit", "succeed"))),
    st.tuples(st.sampled_from(("settle", "settle_without_waiting"))),
)


def up(world: World, number: int, zone: str) -> None:
    """Machines differ: one is small, one does not say how much it has."""
    memory = {1: 2 * GIB, 2: 3 * GIB, 3: 4 * GIB}.get(number)
    world.up(number, memory=memory, cores=None if memory is None else 1.5, zone=zone)


def _do(step: Step, world: World, leader: Leader) -> None:
    def race(first: Step, second: Step) -> None:
        """Something happens between deciding and writing."""
        _do(first, world, leader)
        leader.lost = world.absent_holders()
        leader.plan()
        _do(second, world, leader)
        while leader.commit():
            pass

    def change_of_mind(name: str, text: str, then: str | None) -> None:
        """A unit is changed or destroyed before its placement is written."""
        race(
            ("submit", name, text, Desired.LAUNCHED),
            ("submit", name, then, Desired.LAUNCHED) if then else ("destroy", name),
        )

    def edit_just_then(name: str, number: int, zone: str) -> None:
        """A machine is edited before a placement there is written."""
        race(
            ("submit", name, service(f"MachineMetadata=zone={zone}"), Desired.LAUNCHED), ("operate", number, True, zone)
        )

    def flicker(number: int, zone: str) -> None:
        """A machine comes back just when its units are to move."""
        race(("gone", number, True), ("up", number, zone))

    def race_to_acknowledge(name: str, number: int) -> None:
        """A unit is taken back and asked for again while the agent is slow to report."""
        world.want(name, Desired.INACTIVE)
        settle(world, leader, MACHINES, agents=False)
        world.act(number)
        world.want(name, Desired.LAUNCHED)
        settle(world, leader, MACHINES, agents=False)
        world.obey(number)
        world.want(name, Desired.INACTIVE)
        settle(world, leader, MACHINES, agents=False)

    def wait() -> None:
        leader.lost = world.absent_holders()

    def settle_after_waiting() -> None:
        wait()
        settle(world, leader, MACHINES)

    how: dict[object, Callable[..., object]] = {
        "nothing": lambda: None,
        "submit": world.submit,
        "want": world.want,
        "destroy": world.destroy,
        "operate": lambda number, cordoned, zone: world.operate(number, cordoned=cordoned, zone=zone),
        "drain": lambda number, at_once, zone: world.operate(number, draining=True, at_once=at_once, zone=zone),
        "rebalance": world.rebalance,
        "up": lambda number, zone: up(world, number, zone),
        "gone": lambda number, power: world.gone(number, power=power),
        "act": world.act,
        "obey": world.obey,
        "race": race,
        "change_of_mind": change_of_mind,
        "edit_just_then": edit_just_then,
        "flicker": flicker,
        "race_to_acknowledge": race_to_acknowledge,
        "wait": wait,
        "plan": leader.plan,
        "commit": leader.commit,
        "settle": settle_after_waiting,
        "settle_without_waiting": lambda: settle(world, leader, MACHINES),
        "succeed": leader.succeed,
    }
    how[step[0]](*step[1:])


@pytest.mark.timeout(600)
@settings(max_examples=100, deadline=None)
@given(
    st.tuples(*(st.sampled_from((None, *FILES)) for _ in NAMES)),
    st.lists(steps, min_size=15, max_size=40),
    st.sampled_from((1, 2, 50)),
)
def test_a_history_keeps_the_invariants_and_comes_to_rest(
    before: tuple[str | None, ...], history: list[Step], per_transaction: int
) -> None:
    """Seen to fail on some twenty deliberate faults of planner, executor and indexes, one at a time."""
    world = World()
    leader = Leader(world, per_transaction=per_transaction)
    for number in range(1, MACHINES + 1):
        up(world, number, "x" if number % 2 else "y")
    for name, text in zip(NAMES, before, strict=True):
        if text:
            world.submit(name, text)
    settle(world, leader, MACHINES)
    for step in history:
        _do(step, world, leader)
    leader.lost = world.absent_holders()
    settle(world, leader, MACHINES)
    _judge_rest(world, leader)


def _judge_rest(world: World, leader: Leader) -> None:
    """Nothing is left to plan, for a newcomer neither; no unit waits that has somewhere to go."""
    assert leader.plan() == []
    assert plan(world.snapshot, lost=leader.lost) == []
    assert world.snapshot.rebalance is None
    for drained in world.snapshot.machines.values():
        if drained.draining:
            _judge_drained(world, drained.id)
    for unit in world.homeless():
        for machine in world.snapshot.machines:
            problem = world.problem(unit, machine)
            assert problem, f"{unit.name} waits, and nothing speaks against {machine}"


def _judge_drained(world: World, machine: MachineId) -> None:
    """What is left on a drained machine has nowhere else to go, or does not go alone, or is global."""
    left = [name for where, name in world.snapshot.placements if where == machine]
    tied = {peer for name in left for peer in _peers(world, machine, name)}
    for name in left:
        unit = world.snapshot.units[name]
        if world.section(name, unit.content_hash).is_global or name in tied or _peers(world, machine, name):
            continue
        for other in world.snapshot.machines.keys() - {machine}:
            problem = world.problem(unit, other)
            assert problem, f"{name} is left on a drained machine, and nothing speaks against {other}"


def _peers(world: World, machine: MachineId, name: UnitName) -> tuple[str, ...]:
    return world.section(name, world.snapshot.placements[machine, name].content_hash).machine_of
