"""Folding the store's events: the same values in whatever order they come, and nothing that cannot be read."""

from __future__ import annotations

from itertools import permutations

from inaetics.fleet import keys, mapper
from inaetics.fleet.fold import Fold, MachineChanged, UnitChanged
from inaetics.fleet.model import Desired, Machine, Placement, UnitName, UnitState
from inaetics.store.protocol import KeyValue
from tests.unit.fleet.world import machine_id, service

M = machine_id(1)


def item(key: str, value: bytes, revision: int = 3) -> KeyValue:
    return KeyValue(key=key, value=value, create_revision=2, mod_revision=revision)


def records() -> list[KeyValue]:
    machine = Machine(id=M, name="w1", address="127.17.8.101", incarnation="x", metadata={"a": "1", "b": "2"})
    said = mapper.OperatorRecord(metadata={"a": "9", "b": None, "c": "3"}, cordoned=True)
    return [
        item(keys.unit("a.service"), mapper.unit_value(mapper.content_hash(service()), Desired.LAUNCHED, 1)),
        item(keys.file(mapper.content_hash(service())), mapper.file_value(service())),
        item(keys.machine(M), mapper.machine_value(machine)),
        item(keys.operator(M), mapper.encode(said), 4),
    ]


def test_the_order_within_a_revision_does_not_matter() -> None:
    for order in permutations(records()):
        fold = Fold()
        for each in order:
            list(fold.apply(each.key, each))
        assert fold.units[UnitName("a.service")].text == service()
        machine = fold.machines[M]
        assert machine.metadata == {"a": "9", "c": "3"}
        assert (machine.cordoned, machine.revision, machine.operator_revision) == (True, 3, 4)


def test_what_people_say_outlives_the_machine() -> None:
    fold = Fold()
    for each in records():
        list(fold.apply(each.key, each))
    [gone] = fold.apply(keys.machine(M), None)
    assert isinstance(gone, MachineChanged)
    assert gone.new is None
    [back] = fold.apply(keys.machine(M), records()[2])
    assert isinstance(back, MachineChanged)
    assert back.new is not None
    assert back.new.cordoned


def test_a_record_that_cannot_be_read_counts_as_absent_and_is_named() -> None:
    fold = Fold()
    for each in records():
        list(fold.apply(each.key, each))
    [change] = fold.apply(keys.unit("a.service"), item(keys.unit("a.service"), b"{nonsense"))
    assert isinstance(change, UnitChanged)
    assert change.new is None
    assert "cannot read /_coreos.com/fleet/units/a.service" in fold.unreadable[keys.unit("a.service")]
    list(fold.apply(keys.unit("a.service"), records()[0]))
    assert not fold.unreadable
    assert fold.units


def test_keys_of_another_version_are_left_alone() -> None:
    assert list(Fold().apply(keys.PREFIX + "novelties/x", item("", b"?"))) == []


def test_records_come_back_as_they_were_written() -> None:
    placement = Placement(
        unit=UnitName("a.service"),
        machine=M,
        content_hash="h",
        desired=Desired.LOADED,
        reason="because",
        since=4.5,
        machine_name="w1",
        withdraw=True,
        revision=3,
        create_revision=2,
    )
    state = UnitState(
        unit=UnitName("a.service"),
        machine=M,
        load="loaded",
        active="active",
        sub="running",
        content_hash="h",
        placement_revision=3,
        result="success",
        message="words",
        since=7.25,
        revision=3,
    )
    where = (M, UnitName("a.service"))
    assert mapper.placement(where, item("", mapper.placement_value(placement))) == placement
    assert mapper.state(where, item("", mapper.state_value(state))) == state


def test_records_carry_their_format() -> None:
    assert all(each.value.startswith(b'{"version":1') for each in records())
    state = UnitState(unit=UnitName("a"), machine=M, load="", active="", sub="", content_hash="", placement_revision=0)
    assert mapper.state_value(state).startswith(b'{"version":1')


def test_fields_of_a_later_version_are_ignored() -> None:
    later = b'{"version":2,"hash":"h","desired":"launched","generation":4,"colour":"red"}'
    assert mapper.unit(UnitName("a.service"), item("", later)).generation == 4
