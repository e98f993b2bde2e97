"""What a lost host ran and where that went, as told by events and by what is placed where."""

from __future__ import annotations

import pytest

from inaetics.api.hosts_v1 import CONTROL, host_list
from inaetics.api.hosts_wire import Inventory, InventoryHost, WentUnit
from inaetics.api.lost_hosts import Loss, losses, went
from inaetics.fleet.events import Clock, Event, Kind
from inaetics.fleet.model import Desired, Machine, MachineId, Placement, Snapshot, Unit, UnitName, UnitState

HERE, GONE = MachineId("1" * 32), MachineId("2" * 32)


def event(
    kind: Kind, at: int, *, unit: str = "", machine: str = "", left: str = "", clock: Clock = Clock.SEEN
) -> Event:
    return Event(
        revision=at, index=0, time=float(at), clock=clock, kind=kind, unit=unit, machine=machine, left=left
    )  # fmt: skip


def moved(at: int, unit: str) -> Event:
    return event(Kind.MOVED, at, unit=unit, machine="worker-1", left="worker-2")


LEFT = event(Kind.LEFT, 10, machine="worker-2")


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        pytest.param(
            [moved(5, "before"), LEFT, moved(11, "a"), moved(12, "b")], (10.0, ["a", "b"]), id="since the loss"
        ),
        pytest.param([LEFT, moved(11, "a"), event(Kind.RETURNED, 20, machine="worker-2")], None, id="it is back"),
        pytest.param(
            [
                LEFT,
                moved(11, "a"),
                event(Kind.RETURNED, 20, machine="worker-2"),
                event(Kind.LEFT, 30, machine="worker-2"),
            ],
            (30.0, []),
            id="lost again, with nothing",
        ),
        pytest.param([event(Kind.LEFT, 10, machine="worker-2", clock=Clock.LATER)], (None, []), id="nobody saw when"),
        pytest.param([moved(11, "a")], None, id="the loss is not in the history"),
        pytest.param([event(Kind.LEFT, 10, machine="worker-3")], None, id="another host's"),
    ],
)
def test_a_loss_and_what_left_it(told: list[Event], expected: tuple[float | None, list[str]] | None) -> None:
    found = losses(told, {"worker-2"}).get("worker-2")
    assert (None if found is None else (found.since, found.left)) == expected


def snapshot(**places: MachineId) -> Snapshot:
    """Units by where they are placed; what is on a machine that is there is active."""
    names = {UnitName(f"{name}.service"): machine for name, machine in places.items()}
    return Snapshot(
        revision=50,
        units={
            name: Unit(name=name, text="", content_hash="", desired=Desired.LAUNCHED, generation=1, revision=1)
            for name in names
        },
        machines={HERE: Machine(id=HERE, name="worker-1", address="", incarnation="1", metadata={})},
        placements={(machine, name): placement(name, machine) for name, machine in names.items()},
        states={(HERE, name): state(name) for name, machine in names.items() if machine == HERE},
    )


def placement(name: UnitName, machine: MachineId) -> Placement:
    host = "worker-1" if machine == HERE else "worker-2"
    return Placement(
        unit=name, machine=machine, content_hash="", desired=Desired.LAUNCHED, reason="", since=0.0, machine_name=host
    )


def state(name: UnitName) -> UnitState:
    return UnitState(
        unit=name, machine=HERE, load="loaded", active="active", sub="running", content_hash="", placement_revision=1
    )


def test_where_everything_is_now() -> None:
    """One runs elsewhere, one fits nowhere and is still placed on the dead; one was destroyed, one is everywhere."""
    loss = Loss(since=1.0, left=[UnitName("moved.service"), UnitName("destroyed.service")])
    seen = snapshot(moved=HERE, stuck=GONE, everywhere=GONE, other=HERE)
    assert went("worker-2", loss, seen, lambda name: name == "everywhere.service") == (
        WentUnit(name="moved.service", machine="worker-1", active="active"),
        WentUnit(name="stuck.service"),
    )


def test_of_a_loss_that_is_not_in_the_history_only_what_is_still_there_is_known() -> None:
    seen = snapshot(moved=HERE, stuck=GONE)
    assert went("worker-2", None, seen, lambda name: False) == (WentUnit(name="stuck.service"),)


def test_who_is_lost_leads_no_more_whatever_was_last_heard() -> None:
    known = Inventory(hosts=tuple(InventoryHost(name=f"worker-{n}", address="", control=True) for n in (1, 2)))
    listed = host_list(snapshot(), known, {}, leader="worker-2")
    assert [(each.name, each.state, each.offices) for each in listed.hosts] == [
        ("worker-1", "up", (CONTROL,)),
        ("worker-2", "lost", (CONTROL,)),
    ]
