"""Which units were heard of since a revision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from inaetics.api import recent
from inaetics.api.recent import Recent
from inaetics.fleet.fold import Change, MachineChanged, PlacementChanged, StateChanged, UnitChanged
from inaetics.fleet.model import Desired, Machine, MachineId, Placement, Snapshot, UnitName, UnitState

A, B, C = UnitName("a.service"), UnitName("b.service"), UnitName("c.service")
EMPTY = Snapshot()
M = MachineId("1" * 32)
MACHINE = Machine(id=M, name="w", address="", incarnation="1")
PLACED = Placement(unit=B, machine=M, content_hash="", desired=Desired.LAUNCHED, reason="", since=0.0)
STATE = UnitState(
    unit=B, machine=M, load="loaded", active="active", sub="running", content_hash="", placement_revision=1
)


def after(*turns: Sequence[Change], snapshot: Snapshot = EMPTY) -> Recent:
    """Begun at revision 10; each turn is one revision on."""
    made = Recent()
    made.begin(replace(snapshot, revision=10))
    for number, changes in enumerate(turns, start=11):
        made.take(replace(snapshot, revision=number), changes)
    return made


def unit(name: UnitName) -> UnitChanged:
    return UnitChanged(name=name, old=None, new=None)


def test_what_was_heard_of_after_a_revision_is_named() -> None:
    made = after([unit(A)], [unit(B), unit(C)], [unit(A)])
    assert made.since(13) == []
    assert made.since(12) == [A]
    assert made.since(11) == [A, B, C]
    assert made.since(10) == [A, B, C]


def test_before_it_began_nothing_is_known() -> None:
    assert after().since(9) is None
    assert Recent().since(0) is None


def test_placements_and_reports_are_about_their_unit() -> None:
    placed = PlacementChanged(machine=M, unit=B, old=None, new=PLACED)
    reported = StateChanged(machine=M, unit=B, old=None, new=STATE)
    made = after([placed], [reported])
    assert (made.since(10), made.since(11)) == ([B], [B])
    assert (made.placed_on(B), made.reported_by(B)) == (frozenset([M]), frozenset([M]))
    made.take(Snapshot(revision=20), [replace(placed, new=None), replace(reported, new=None)])
    assert (made.placed_on(B), made.reported_by(B)) == (frozenset(), frozenset())


def test_a_machine_that_comes_or_goes_concerns_the_units_placed_on_it() -> None:
    snapshot = Snapshot(placements={(M, B): PLACED})
    made = after([MachineChanged(id=M, old=MACHINE, new=None)], snapshot=snapshot)
    assert made.since(10) == [B]
    assert made.placed_on(B) == frozenset([M])


def test_a_new_listing_voids_what_was_known() -> None:
    made = after([unit(A)])
    made.begin(Snapshot(revision=30))
    assert made.since(11) is None
    assert made.since(30) == []


def test_forgotten_names_make_it_forget_not_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "_KEPT", 2)
    made = after([unit(A)], [unit(B)], [unit(C)])
    assert made.since(10) is None, "a was forgotten"
    assert made.since(11) == [B, C]
