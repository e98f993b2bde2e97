"""Decisions become transactions that etcd takes, and that fail when their ground has changed."""

from __future__ import annotations

import pytest

from inaetics.fleet import keys
from inaetics.fleet.executor import Transaction, transactions
from inaetics.fleet.model import Desired
from inaetics.fleet.planner import plan
from inaetics.store.protocol import MAX_GUARDS, MAX_OPS, CreatedAt, Delete, ModIs, Put
from tests.unit.fleet.leader import Leader, settle
from tests.unit.fleet.world import World, machine_id, service


def packed(world: World) -> list[Transaction]:
    return list(transactions(plan(world.snapshot, lost=world.absent_holders()), world.snapshot, now=5.0))


@pytest.mark.parametrize(("units", "machines"), [(250, 1), (250, 250), (99, 3), (98, 1)])
def test_no_transaction_is_larger_than_etcd_takes(units: int, machines: int) -> None:
    world = World()
    for number in range(machines):
        world.up(number)
    for number in range(units):
        world.submit(f"a@{number}.service", service())
    found = packed(world)
    assert sum(len(each.actions) for each in found) == units
    leader, ledger = CreatedAt(key="leader", revision=1), ModIs(key=keys.LEDGER, revision=1)
    for each in found:
        assert len(each.ops) + 1 <= MAX_OPS
        assert len({leader, ledger, *each.guards}) <= MAX_GUARDS
        assert len({op.key for op in each.ops}) == len(each.ops)


def test_a_placement_is_guarded_by_the_unit_the_machine_and_what_people_say_of_it() -> None:
    world = World()
    world.up(1)
    world.submit("a.service", service())
    [found] = packed(world)
    assert [guard.key for guard in found.guards] == [
        keys.unit("a.service"),
        keys.machine(machine_id(1)),
        keys.operator(machine_id(1)),
    ]
    assert all(isinstance(guard, ModIs) for guard in found.guards)
    assert found.guards[2].revision == 0, "nobody has said anything: that must still be so"


def test_a_move_is_one_transaction_and_guarded_by_the_lost_machines_absence() -> None:
    world = World()
    world.up(1)
    world.submit("a.service", service())
    settle(world, Leader(world), 1)
    world.gone(1)
    world.up(2)
    [found] = packed(world)
    assert [type(op) for op in found.ops] == [Delete, Put]
    assert ModIs(key=keys.machine(machine_id(1)), revision=0) in found.guards


def test_a_removal_is_guarded_by_the_acknowledgement() -> None:
    world = World()
    world.up(1)
    world.submit("a.service", service())
    leader = Leader(world)
    settle(world, leader, 1)
    world.want("a.service", Desired.INACTIVE)
    leader.plan()
    leader.commit()
    world.act(1)
    [found] = packed(world)
    [state] = world.snapshot.states.values()
    assert ModIs(key=keys.state(state.machine, state.unit), revision=state.revision) in found.guards


def test_an_update_keeps_since_when_the_unit_came() -> None:
    world = World()
    world.up(1)
    world.submit("a.service", service())
    settle(world, Leader(world), 1)
    world.want("a.service", Desired.LOADED)
    [found] = packed(world)
    assert world.commit(found.ops, found.guards)
    [placement] = world.snapshot.placements.values()
    assert (placement.since, placement.desired) == (1.0, Desired.LOADED)
