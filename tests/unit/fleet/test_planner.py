"""The planner's rules, one a case; the case's name is the rule."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from inaetics.fleet import keys, mapper
from inaetics.fleet.actions import Move, Place, Remove, Update, Withdraw
from inaetics.fleet.model import Desired, UnitState
from inaetics.fleet.planner import Planner, plan
from inaetics.store.protocol import Put
from tests.unit.fleet.leader import Leader, settle
from tests.unit.fleet.world import World, machine_id, service

ALONE = service("Conflicts=%p@*.service")


def world_of(machines: int, **units: str) -> World:
    """Machines w1 … with zone=x on the odd ones; `units` are launched, `a1` standing for `a@1.service`."""
    world = World()
    for number in range(1, machines + 1):
        world.up(number, zone="x" if number % 2 else "y")
    for name, text in units.items():
        world.submit(full(name), text)
    return world


def full(name: str) -> str:
    return f"{name[0]}@{name[1:]}.service" if name[1:] else f"{name}.service"


def settled(machines: int, **units: str) -> World:
    world = world_of(machines, **units)
    settle(world, Leader(world), machines)
    return world


def where(world: World) -> dict[str, list[str]]:
    """Unit → machines, numbered as people number them."""
    found: dict[str, list[str]] = {}
    for (_, unit), placement in sorted(world.snapshot.placements.items()):
        found.setdefault(unit, []).append(placement.machine_name + ("?" if placement.withdraw else ""))
    return found


@pytest.mark.parametrize(
    ("world", "expected"),
    [
        pytest.param(
            lambda: settled(2, a1=service(), a2=service(), a3=service()),
            {"a@1.service": ["w1"], "a@2.service": ["w2"], "a@3.service": ["w1"]},
            id="units spread by load, and ties go by name",
        ),
        pytest.param(
            lambda: settled(2, a1=ALONE, a2=ALONE, a10=ALONE),
            {"a@1.service": ["w1"], "a@2.service": ["w2"]},
            id="what conflicts stays apart, and the lower number gets the room",
        ),
        pytest.param(
            lambda: settled(2, a1=service("Conflicts=b.service"), b=service()),
            {"a@1.service": ["w1"], "b.service": ["w2"]},
            id="a conflict that one side declares counts for both",
        ),
        pytest.param(
            lambda: settled(3, a1=service("MachineMetadata=zone=y")),
            {"a@1.service": ["w2"]},
            id="metadata must match",
        ),
        pytest.param(
            lambda: settled(3, a1=service("MachineMetadata=zone=y", "MachineMetadata=zone=z")),
            {"a@1.service": ["w2"]},
            id="several values of one key are alternatives",
        ),
        pytest.param(
            lambda: settled(3, a1=service("MachineMetadata=zone=y", "MachineMetadata=disk=ssd")),
            {},
            id="several keys must all match",
        ),
        pytest.param(
            lambda: settled(3, a1=service(f"MachineID={machine_id(3)}")),
            {"a@1.service": ["w3"]},
            id="a machine may be named",
        ),
        pytest.param(
            lambda: settled(3, g=service("Global=yes")),
            {"g.service": ["w1", "w2", "w3"]},
            id="a global unit is everywhere",
        ),
        pytest.param(
            lambda: settled(3, g=service("Global=yes", "MachineMetadata=zone=x")),
            {"g.service": ["w1", "w3"]},
            id="a global unit is everywhere it fits",
        ),
        pytest.param(
            lambda: settled(3, a1=service("MachineOf=b.service"), b=service("MachineMetadata=zone=y")),
            {"a@1.service": ["w2"], "b.service": ["w2"]},
            id="a unit follows the one it goes with",
        ),
        pytest.param(
            lambda: settled(
                3,
                a1=service("MachineOf=b.service", "Conflicts=c.service"),
                b=service(),
                c=service("MachineID=" + machine_id(1)),
            ),
            {"a@1.service": ["w2"], "b.service": ["w2"], "c.service": ["w1"]},
            id="units that go together are placed as a group",
        ),
        pytest.param(
            lambda: settled(2, a1=service("MachineOf=b.service"), b=service("MachineOf=a@1.service")),
            {},
            id="a circle of MachineOf is placed nowhere",
        ),
        pytest.param(
            lambda: settled(2, a1=service("MachineOf=b.service")),
            {},
            id="who goes with a unit that is not there waits",
        ),
        pytest.param(
            lambda: settled(2, a=service("MachineMetadata=zone=q"), b=service()),
            {"b.service": ["w1"]},
            id="one unit that waits holds up no other",
        ),
        pytest.param(lambda: settled(2, a1="[Service\n"), {}, id="a file that cannot be read is placed nowhere"),
        pytest.param(lambda: settled(2, **{"a": service()}), {"a.service": ["w1"]}, id="a plain unit needs no machine"),
    ],
)
def test_placing(world: Callable[[], World], expected: dict[str, list[str]]) -> None:
    assert where(world()) == expected


def test_a_template_is_not_placed() -> None:
    world = world_of(1)
    world.submit("a@.service", service())
    assert plan(world.snapshot) == []


def test_a_loaded_unit_is_placed_as_loaded() -> None:
    world = world_of(1)
    world.submit("a.service", service(), Desired.LOADED)
    [place] = plan(world.snapshot)
    assert isinstance(place, Place)
    assert place.unit.desired is Desired.LOADED


def test_a_changed_wish_is_written_to_the_placement_in_place() -> None:
    world = settled(2, a=service())
    world.want("a.service", Desired.LOADED)
    [update] = plan(world.snapshot)
    assert isinstance(update, Update)
    assert not update.placement.withdraw


def test_new_content_is_written_to_the_placement_where_it_still_fits() -> None:
    world = settled(2, a=service())
    world.submit("a.service", service("MachineMetadata=zone=x"))
    [update] = plan(world.snapshot)
    assert isinstance(update, Update)
    assert update.content_hash == mapper.content_hash(service("MachineMetadata=zone=x"))


def test_new_content_that_fits_elsewhere_moves_after_the_machine_gave_it_up() -> None:
    world = settled(2, a=service())
    world.submit("a.service", service("MachineMetadata=zone=y"))
    assert [type(action) for action in plan(world.snapshot)] == [Withdraw]
    settle(world, Leader(world), 2)
    assert where(world) == {"a.service": ["w2"]}


def test_new_content_that_fits_nowhere_leaves_what_runs_alone() -> None:
    world = settled(2, a=service())
    world.submit("a.service", service("MachineMetadata=zone=q"))
    assert plan(world.snapshot) == []


def test_a_destroyed_unit_is_withdrawn_and_removed_after_the_acknowledgement() -> None:
    world = settled(1, a=service())
    leader = Leader(world)
    world.destroy("a.service")
    assert [type(action) for action in leader.plan()] == [Withdraw]
    leader.commit()
    assert leader.plan() == [], "not before the machine has answered"
    world.act(1)
    assert [type(action) for action in leader.plan()] == [Remove]


@pytest.mark.parametrize(
    ("load", "offset"),
    [
        pytest.param("loaded", 0, id="a report that the unit is still there"),
        pytest.param("not-found", -1, id="a report that answers an earlier placement"),
    ],
)
def test_no_acknowledgement_is(load: str, offset: int) -> None:
    world = settled(1, a=service())
    leader = Leader(world)
    world.destroy("a.service")
    leader.plan()
    leader.commit()
    [placement] = world.snapshot.placements.values()
    state = UnitState(
        unit=placement.unit,
        machine=placement.machine,
        load=load,
        active="inactive",
        sub="dead",
        content_hash="",
        placement_revision=placement.revision + offset,
    )
    world.commit([Put(key=keys.state(placement.machine, placement.unit), value=mapper.state_value(state))])
    assert leader.plan() == []


def test_a_destroyed_unit_is_removed_at_once_from_a_lost_machine() -> None:
    world = settled(1, a=service())
    world.gone(1)
    world.destroy("a.service")
    assert plan(world.snapshot) == [], "not while the machine is waited for"
    [remove] = plan(world.snapshot, lost=world.absent_holders())
    assert isinstance(remove, Remove)


def test_a_unit_of_a_lost_machine_moves_in_one_step() -> None:
    world = settled(2, a=service())
    world.gone(1)
    assert plan(world.snapshot) == [], "not while the machine is waited for"
    [move] = plan(world.snapshot, lost=world.absent_holders())
    assert isinstance(move, Move)
    assert move.machine == machine_id(2)
    assert move.reason.startswith("w1 was lost")


def test_a_unit_of_a_lost_machine_stays_where_no_other_fits_and_resumes() -> None:
    world = settled(2, a1=ALONE, a2=ALONE)
    world.gone(2)
    leader = Leader(world, lost=world.absent_holders())
    assert leader.plan() == []
    world.up(2, zone="y")
    assert leader.plan() == []
    assert where(world) == {"a@1.service": ["w1"], "a@2.service": ["w2"]}


def test_a_unit_that_waits_is_placed_when_a_machine_comes() -> None:
    world = settled(1, a1=ALONE, a2=ALONE)
    leader = Leader(world)
    leader.plan()
    world.up(2)
    assert [type(action) for action in leader.plan()] == [Place]


def test_a_unit_that_waits_is_placed_when_another_leaves() -> None:
    world = settled(1, a1=ALONE, a2=ALONE)
    world.destroy("a@1.service")
    settle(world, Leader(world), 1)
    assert where(world) == {"a@2.service": ["w1"]}


def test_a_global_placement_outlives_its_machine() -> None:
    world = settled(2, g=service("Global=yes"))
    world.gone(2)
    assert plan(world.snapshot, lost=world.absent_holders()) == []


def test_a_global_unit_comes_to_a_new_machine() -> None:
    world = settled(1, g=service("Global=yes"))
    leader = Leader(world)
    leader.plan()
    world.up(2)
    [place] = leader.plan()
    assert isinstance(place, Place)
    assert place.machine == machine_id(2)


def test_a_cordon_keeps_new_units_out_and_leaves_those_that_run() -> None:
    world = settled(2, a=service())
    world.operate(1, cordoned=True)
    world.submit("b.service", service())
    settle(world, Leader(world), 2)
    assert where(world) == {"a.service": ["w1"], "b.service": ["w2"]}


def test_a_unit_leaves_a_machine_that_no_longer_fits_if_another_one_does() -> None:
    world = settled(3, a=service("MachineMetadata=zone=x"))
    world.operate(1, zone="y")
    settle(world, Leader(world), 3)
    assert where(world) == {"a.service": ["w3"]}


def test_a_unit_stays_on_a_machine_that_no_longer_fits_if_none_does() -> None:
    world = settled(2, a=service("MachineMetadata=zone=x"))
    world.operate(1, zone="y")
    assert plan(world.snapshot) == []


def test_those_that_go_with_a_unit_are_withdrawn_first() -> None:
    world = settled(1, a1=service("MachineOf=b.service"), b=service())
    world.destroy("b.service")
    withdrawn = [action for action in plan(world.snapshot) if isinstance(action, Withdraw)]
    assert [action.name for action in withdrawn] == ["a@1.service"]
    settle(world, Leader(world), 1)
    assert where(world) == {}


def test_a_unit_that_replaces_another_takes_its_place_and_the_other_moves() -> None:
    world = settled(2, b=service("MachineMetadata=zone=x", "MachineMetadata=zone=y"))
    world.submit("a.service", service("Replaces=b.service", "MachineMetadata=zone=x"))
    settle(world, Leader(world), 2)
    assert where(world) == {"a.service": ["w1"], "b.service": ["w2"]}


def test_a_unit_does_not_replace_another_that_has_nowhere_to_go() -> None:
    world = settled(2, b=service("MachineMetadata=zone=x"))
    world.submit("a.service", service("Replaces=b.service", "MachineMetadata=zone=x"))
    assert plan(world.snapshot) == []


def test_the_order_of_what_is_stored_does_not_matter() -> None:
    world = world_of(4, a1=ALONE, a2=ALONE, b=service(), c=service("MachineOf=b.service"), g=service("Global=yes"))
    backwards = World()
    for key in reversed(list(world.items)):
        backwards.items[key] = world.items[key]
        list(backwards.fold.apply(key, world.items[key]))
    assert plan(world.snapshot) == plan(backwards.snapshot)


def test_what_could_not_be_written_is_planned_again() -> None:
    world = world_of(1, a=service())
    planner = Planner(world.snapshot)
    first = planner.plan(lost=frozenset())
    assert planner.plan(lost=frozenset()) == []
    planner.again(action.name for action in first)
    assert planner.plan(lost=frozenset()) == first


def test_units_that_go_together_are_placed_by_one_plan() -> None:
    world = world_of(2, a1=service("MachineOf=b.service"), b=service("MachineOf=c.service"), c=service())
    assert [action.name for action in plan(world.snapshot)] == ["c.service", "b.service", "a@1.service"]


def test_content_that_would_close_a_circle_is_not_written() -> None:
    world = settled(1, a1=service("MachineOf=b.service"), b=service())
    world.submit("b.service", service("MachineOf=a@1.service"))
    assert plan(world.snapshot) == []
    world.destroy("b.service")
    world.destroy("a@1.service")
    settle(world, Leader(world), 1)
    assert where(world) == {}


def test_one_plan_decides_once_about_a_placement() -> None:
    world = settled(1, a1=service("MachineOf=b.service"), b=service())
    world.want("a@1.service", Desired.LOADED)
    world.destroy("b.service")
    actions = plan(world.snapshot)
    assert [(type(action), action.name) for action in actions] == [(Withdraw, "a@1.service")]


def test_a_unit_does_not_join_a_circle_that_is_only_submitted_so_far() -> None:
    world = settled(1, b=service())
    world.submit("b.service", service("MachineOf=a@1.service"))
    world.submit("a@1.service", service("MachineOf=b.service"))
    assert plan(world.snapshot) == []
