"""Random histories of people, machines and leaders: the invariants hold at every revision, and all comes to rest."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from inaetics.fleet.model import Desired
from inaetics.fleet.planner import plan
from tests.unit.fleet.world import Leader, World, machine_id, service, settle

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
)

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
    st.tuples(st.just("up"), numbers, zones),
    st.tuples(st.just("gone"), numbers, st.booleans()),
    st.tuples(st.just("act"), numbers),
    st.tuples(st.just("obey"), numbers),
)
steps = st.one_of(
    deeds,
    deeds,
    st.tuples(st.just("race"), deeds),
    st.tuples(st.sampled_from(("wait", "plan", "commit", "settle", "succeed"))),
)


def _do(step: Step, world: World, leader: Leader) -> None:
    def race(deed: Step) -> None:
        """Something happens between deciding and writing."""
        leader.lost = world.absent_holders()
        leader.plan()
        _do(deed, world, leader)
        leader.commit()

    how: dict[object, Callable[..., object]] = {
        "submit": world.submit,
        "want": world.want,
        "destroy": world.destroy,
        "operate": lambda number, cordoned, zone: world.operate(number, cordoned=cordoned, zone=zone),
        "up": lambda number, zone: world.up(number, zone=zone),
        "gone": lambda number, power: world.gone(number, power=power),
        "act": world.act,
        "obey": world.obey,
        "race": race,
        "wait": lambda: setattr(leader, "lost", world.absent_holders()),
        "plan": leader.plan,
        "commit": leader.commit,
        "settle": lambda: settle(world, leader, MACHINES),
        "succeed": leader.succeed,
    }
    how[step[0]](*step[1:])


@settings(max_examples=300, deadline=None)
@given(st.lists(steps, max_size=60), st.sampled_from((1, 2, 50)))
def test_a_history_keeps_the_invariants_and_comes_to_rest(history: list[Step], per_transaction: int) -> None:
    """Seen to fail on some twenty deliberate faults of planner, executor and indexes, one at a time."""
    world = World()
    leader = Leader(world, per_transaction=per_transaction)
    for number in range(1, MACHINES + 1):
        world.up(number, zone="x" if number % 2 else "y")
    leader.plan()
    for step in history:
        _do(step, world, leader)
    leader.lost = world.absent_holders()
    settle(world, leader, MACHINES)
    _judge_rest(world, leader)


def _judge_rest(world: World, leader: Leader) -> None:
    """Nothing is left to plan, for a newcomer neither; no unit waits that has somewhere to go."""
    assert leader.plan() == []
    assert plan(world.snapshot, lost=leader.lost) == []
    for unit in world.homeless():
        for machine in world.snapshot.machines:
            problem = world.problem(unit, machine)
            assert problem, f"{unit.name} waits, and nothing speaks against {machine}"
