"""Spreading, resources, drains and rebalances: one rule a case."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from inaetics.fleet.actions import Move, Update, Withdraw
from inaetics.fleet.balance import plan_rebalance
from inaetics.fleet.drains import Fate, drain_of_machine
from inaetics.fleet.model import Desired, UnitName
from inaetics.fleet.planner import plan
from tests.unit.fleet.leader import Leader, settle
from tests.unit.fleet.test_planner import where
from tests.unit.fleet.world import World, machine_id, service

GIB = 1 << 30


def world_of(*machines: dict[str, str], memory: int | None = None, cores: float | None = None) -> World:
    """Machines w1 … with this metadata."""
    world = World()
    for number, metadata in enumerate(machines, start=1):
        world.up(number, memory=memory, cores=cores, **metadata)
    return world


def submit(world: World, text: str, names: Iterable[str]) -> Leader:
    for name in names:
        world.submit(name, text)
    leader = Leader(world, per_transaction=50)
    settle(world, leader, 9)
    return leader


def instances(count: int, template: str = "a") -> list[str]:
    return [f"{template}@{number}.service" for number in range(1, count + 1)]


def zones(world: World) -> list[str]:
    """How many placements each zone has: `x2`."""
    machines = world.snapshot.machines
    found = [machines[machine].metadata.get("zone", "-") for machine, _ in world.snapshot.placements]
    return sorted(f"{zone}{found.count(zone)}" for zone in set(found))


def places(world: World) -> set[str]:
    """The machines that hold anything."""
    return {machine for machines in where(world).values() for machine in machines}


# Spreading.


@pytest.mark.parametrize(
    ("machines", "count", "expected"),
    [
        pytest.param("xxxy", 4, ["x2", "y2"], id="evenly over values, however many machines each has"),
        pytest.param("xyz", 4, ["x2", "y1", "z1"], id="one more goes to the first by name"),
        pytest.param("xy--", 6, ["x3", "y3"], id="machines without the key come last"),
        pytest.param("--", 2, ["-2"], id="and are taken when there is no other"),
    ],
)
def test_instances_spread_over_the_values_of_a_key(machines: str, count: int, expected: list[str]) -> None:
    world = world_of(*({} if zone == "-" else {"zone": zone} for zone in machines))
    submit(world, service("SpreadBy=zone"), instances(count))
    assert zones(world) == expected


def test_within_a_value_the_load_decides() -> None:
    world = world_of({"zone": "x"}, {"zone": "x"}, {"zone": "y"})
    submit(world, service(f"MachineID={machine_id(1)}"), ["filler.service"])
    submit(world, service("SpreadBy=zone"), instances(3))
    assert where(world)["a@1.service"] == ["w2"], "of equally empty values the least loaded machine"
    assert where(world)["a@2.service"] == ["w3"]
    assert where(world)["a@3.service"] == ["w1"], "all are equal now, and ties go by name"


def test_each_template_is_spread_by_itself() -> None:
    world = world_of({"zone": "x"}, {"zone": "y"})
    submit(world, service("SpreadBy=zone"), instances(1))
    submit(world, service("SpreadBy=zone"), instances(1, "b"))
    assert where(world) == {"a@1.service": ["w1"], "b@1.service": ["w2"]}, "b goes by load"


def test_a_value_without_room_is_passed_over() -> None:
    world = World()
    world.up(1, memory=GIB, zone="x")
    world.up(2, memory=8 * GIB, zone="y")
    submit(world, service("SpreadBy=zone", "Memory=1G"), instances(4))
    assert zones(world) == ["x1", "y3"]


def test_hard_rules_go_before_an_even_spread() -> None:
    world = world_of({"zone": "x"}, {"zone": "y"}, {"zone": "z"})
    submit(world, service("SpreadBy=zone", "MachineMetadata=zone=y", "MachineMetadata=zone=z"), instances(4))
    assert zones(world) == ["y2", "z2"]


def test_the_reason_tells_of_the_spread() -> None:
    world = world_of({"zone": "x"}, {"zone": "y"})
    submit(world, service("SpreadBy=zone"), instances(3))
    reasons = [placement.reason for placement in world.snapshot.placements.values()]
    assert (
        "zone=x has 1 instance of a@.service, the fewest; least loaded machine that fits (1 other unit there)"
        in reasons
    )


# Resources.


def test_what_is_declared_is_never_promised_twice() -> None:
    world = world_of({}, {}, memory=2 * GIB)
    submit(world, service("Memory=1500M"), instances(3))
    assert len(where(world)) == 2
    world.destroy("a@1.service")
    settle(world, Leader(world), 2)
    assert set(where(world)) == {"a@2.service", "a@3.service"}, "it is placed once there is room"


def test_a_unit_that_leaves_still_takes_its_room() -> None:
    world = world_of({}, memory=2 * GIB)
    leader = submit(world, service("Memory=2G"), instances(2))
    world.destroy("a@1.service")
    settle(world, leader, 1, agents=False)
    assert [name for _, name in world.snapshot.placements] == ["a@1.service"], "until its machine has given it up"
    settle(world, leader, 1)
    assert where(world) == {"a@2.service": ["w1"]}


def test_new_content_that_needs_more_moves_where_there_is_room() -> None:
    world = World()
    world.up(1, memory=2 * GIB)
    leader = submit(world, service("Memory=1G"), instances(1))
    world.up(2, memory=4 * GIB)
    world.submit("a@1.service", service("Memory=3G"))
    settle(world, leader, 2)
    assert where(world) == {"a@1.service": ["w2"]}


def test_new_content_that_needs_more_than_there_is_leaves_what_runs_alone() -> None:
    world = world_of({}, memory=2 * GIB)
    leader = submit(world, service("Memory=1G"), instances(1))
    world.submit("a@1.service", service("Memory=3G"))
    settle(world, leader, 1)
    [placement] = world.snapshot.placements.values()
    assert placement.content_hash != world.snapshot.units[UnitName("a@1.service")].content_hash


def test_a_machine_that_does_not_say_what_it_has_is_not_limited() -> None:
    world = world_of({})
    submit(world, service("Memory=1T", "CPU=100"), instances(3))
    assert len(where(world)) == 3


def test_a_unit_without_needs_fits_on_a_full_machine() -> None:
    world = world_of({}, memory=GIB, cores=1)
    submit(world, service("Memory=1G", "CPU=1"), instances(1))
    submit(world, service(), ["b.service"])
    assert "b.service" in where(world)


# Drains.


def drained(world: World, leader: Leader, number: int, at_once: int = 1) -> World:
    world.operate(number, draining=True, at_once=at_once)
    settle(world, leader, 9)
    return world


def test_a_drain_empties_a_machine_but_for_global_units() -> None:
    world = world_of({}, {}, {})
    world.submit("g.service", service("Global=yes"))
    leader = submit(world, service(), instances(6))
    drained(world, leader, 1)
    assert [name for machine, name in world.snapshot.placements if machine == machine_id(1)] == ["g.service"]
    assert all(len(machines) == 1 for name, machines in where(world).items() if name != "g.service")


def test_a_drained_unit_is_withdrawn_first_and_moved_after_the_acknowledgement() -> None:
    world = world_of({}, {})
    leader = submit(world, service(), instances(1))
    world.operate(1, draining=True)
    [withdraw] = leader.plan()
    assert isinstance(withdraw, Withdraw)
    assert (withdraw.reason, withdraw.target) == ("w1 is drained", machine_id(2))
    leader.commit()
    assert leader.plan() == [], "not before the machine has answered"
    world.act(1)
    [move] = leader.plan()
    assert isinstance(move, Move)
    assert move.reason == "w1 is drained; least loaded machine that fits (nothing else runs there)"


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_no_more_leave_at_once_than_allowed_also_under_a_new_leader(at_once: int) -> None:
    world = world_of({}, {}, {})
    leader = submit(world, service(f"MachineMetadata=zone={1}"), [])
    for number in (2, 3):
        world.operate(number, cordoned=True)
    submit(world, service(), instances(6))
    for number in (2, 3):
        world.operate(number)
    world.operate(1, draining=True, at_once=at_once)
    leader = Leader(world, per_transaction=50)
    assert len(leader.plan()) == at_once
    while leader.commit():
        pass
    leader.succeed()
    assert leader.plan() == [], "the new leader sees who is under way"
    world.act(1)
    assert len(leader.plan()) == at_once
    while leader.commit():
        pass
    leader.succeed()
    assert leader.plan() == [], "also those that do not run at their new place yet"
    world.act(2)
    world.act(3)
    assert len(leader.plan()) == at_once


def test_what_has_no_other_place_stays_and_leaves_once_there_is_one() -> None:
    world = world_of({}, {})
    leader = submit(world, service("Conflicts=a@*.service"), instances(2))
    drained(world, leader, 1)
    assert where(world) == {"a@1.service": ["w1"], "a@2.service": ["w2"]}
    world.up(3)
    settle(world, leader, 3)
    assert where(world) == {"a@1.service": ["w3"], "a@2.service": ["w2"]}


def test_two_that_leave_are_not_promised_the_same_room() -> None:
    world = World()
    world.up(1, memory=4 * GIB)
    leader = submit(world, service("Memory=2G"), instances(2))
    world.up(2, memory=2 * GIB)
    world.operate(1, draining=True, at_once=2)
    assert len(leader.plan()) == 1, "there is room for one"
    leader.commit()
    assert leader.plan() == [], "and the other one is not asked to leave for the room that is promised"
    settle(world, leader, 2)
    assert sorted(where(world).values()) == [["w1"], ["w2"]]


def test_a_unit_whose_new_place_is_taken_meanwhile_stays_where_it_was() -> None:
    world = world_of({}, {})
    leader = submit(world, service("Conflicts=b.service"), instances(1))
    world.operate(1, draining=True)
    leader.plan()
    leader.commit()
    world.act(1)
    world.operate(2, cordoned=True)
    [update] = leader.plan()
    assert isinstance(update, Update)
    leader.commit()
    settle(world, leader, 2)
    assert where(world) == {"a@1.service": ["w1"]}


def test_units_that_go_together_leave_together() -> None:
    world = World()
    world.up(1, memory=4 * GIB)
    world.submit("b.service", service("Memory=1G"))
    leader = submit(world, service("MachineOf=b.service", "Memory=1G"), instances(2))
    world.up(2, memory=2 * GIB)
    drained(world, leader, 1)
    assert places(world) == {"w1"}, "not all three fit on the other machine"
    world.up(3, memory=3 * GIB)
    settle(world, leader, 3)
    assert places(world) == {"w3"}


def test_the_end_of_a_drain_ends_it() -> None:
    world = world_of({}, {})
    leader = submit(world, service(), instances(4))
    world.operate(1, draining=True)
    leader.plan()
    leader.commit()
    world.operate(1)
    settle(world, leader, 2)
    assert [machine for machines in where(world).values() for machine in machines].count("w1") >= 1


def test_a_drain_names_what_is_left_and_why() -> None:
    world = world_of({"zone": "x"}, {"zone": "y"})
    world.submit("g.service", service("Global=yes"))
    world.submit("stuck.service", service("MachineMetadata=zone=x"))
    world.submit("tied.service", service("MachineOf=stuck.service"))
    world.submit("free.service", service("Conflicts=nobody", "MachineMetadata=zone=x", "MachineMetadata=zone=y"))
    leader = Leader(world, per_transaction=50)
    settle(world, leader, 2)
    world.operate(1, draining=True, zone="x")
    drain = drain_of_machine(world.snapshot, machine_id(1))
    fates = {str(each.unit): (each.fate, each.why) for each in drain.left}
    assert fates["g.service"][0] is Fate.GLOBAL
    assert fates["stuck.service"] == (
        Fate.STUCK,
        "no other machine fits: w2 has zone=y, not x (beside tied.service, which it takes along)",
    )
    assert fates["tied.service"] == (Fate.STUCK, "goes with stuck.service, which cannot leave")
    if "free.service" in fates:
        assert fates["free.service"] == (Fate.NEXT, "there is a place on w2")
        assert not drain.is_over
    settle(world, leader, 2)
    assert drain_of_machine(world.snapshot, machine_id(1)).is_over


# Evening out.


def test_a_rebalance_moves_what_makes_a_difference_of_two_smaller() -> None:
    world = world_of({})
    leader = submit(world, service(), instances(5))
    world.up(2)
    assert [move.unit for move in plan_rebalance(world.snapshot)] == ["a@1.service", "a@2.service"]
    world.rebalance()
    settle(world, leader, 2)
    assert sorted(machines[0] for machines in where(world).values()) == ["w1", "w1", "w1", "w2", "w2"]
    assert world.snapshot.rebalance is None
    assert plan_rebalance(world.snapshot) == [], "a fleet that is even stays as it is"


def test_a_rebalance_evens_out_a_spread() -> None:
    world = world_of({"zone": "x"}, {"zone": "x"})
    leader = submit(world, service("SpreadBy=zone"), instances(4))
    world.up(3, zone="y")
    world.rebalance(at_once=2)
    settle(world, leader, 3)
    assert zones(world) == ["x2", "y2"]


def test_a_rebalance_does_not_spoil_a_spread_for_the_load() -> None:
    world = world_of({"zone": "x"}, {"zone": "y"})
    submit(world, service(f"MachineID={machine_id(1)}"), ["b.service", "c.service", "d.service"])
    submit(world, service("SpreadBy=zone"), instances(2))
    assert plan_rebalance(world.snapshot) == []


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(("MachineID=" + machine_id(1),), id="to a machine"),
        pytest.param(("Global=yes",), id="to every machine"),
        pytest.param(("MachineMetadata=zone=x",), id="to metadata"),
    ],
)
def test_what_is_tied_stays(options: tuple[str, ...]) -> None:
    world = world_of({"zone": "x"})
    submit(world, service(*options), instances(4))
    world.up(2, zone="y")
    world.operate(2, cordoned=False)
    assert plan_rebalance(world.snapshot) == []


def test_units_that_go_together_are_not_torn_apart() -> None:
    world = world_of({})
    world.submit("b.service", service())
    submit(world, service("MachineOf=b.service"), instances(3))
    world.up(2)
    assert plan_rebalance(world.snapshot) == []


def test_a_unit_nobody_wants_at_that_moment_is_not_brought_back() -> None:
    world = world_of({})
    leader = submit(world, service(), instances(4))
    world.up(2)
    world.rebalance()
    leader.plan()
    leader.commit()
    world.want("a@1.service", Desired.INACTIVE)
    settle(world, leader, 2)
    assert "a@1.service" not in where(world)
    assert world.snapshot.rebalance is None


def test_a_unit_sent_there_in_the_same_pass_is_no_victim_yet() -> None:
    """Two machines are lost, and what one ran goes where a unit waits to replace it: found by a random history."""
    world = world_of({}, {}, {}, {})
    world.submit("b.service", service())
    leader = submit(world, service("Conflicts=a@*.service"), ["g.service"])
    assert where(world) == {"b.service": ["w1"], "g.service": ["w2"]}
    world.submit("a@1.service", service("Replaces=b*"))
    for number in (1, 2):
        world.gone(number)
    leader.lost = world.absent_holders()
    settle(world, leader, 4)
    assert len(places(world)) == 2
    assert plan(world.snapshot, lost=leader.lost) == []
