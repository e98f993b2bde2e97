"""What changes mean, one table a rule; the ring and the files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from inaetics.fleet import events_files, keys, mapper
from inaetics.fleet.events import Clock, Event, Kind, read_position, write_position
from inaetics.fleet.events_derive import Deriver
from inaetics.fleet.events_files import EventFiles, Reached
from inaetics.fleet.events_ring import Ring, Wanted
from inaetics.fleet.events_words import state_kind
from inaetics.fleet.fold import Fold
from inaetics.fleet.model import Desired, Machine, Placement, UnitName, UnitState
from inaetics.store.protocol import Changed, KeyValue, Listing
from tests.unit.fleet.world import machine_id

W1, W2 = machine_id(1), machine_id(2)
A = UnitName("a.service")
UP = UnitState(
    unit=A,
    machine=W1,
    load="loaded",
    active="active",
    sub="running",
    content_hash="h",
    placement_revision=1,
    result="success",
    since=10.0,
)


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        pytest.param(None, UP, Kind.ACTIVE, id="a first report"),
        pytest.param(None, replace(UP, active="inactive", sub="dead"), Kind.LOADED, id="a first report of what rests"),
        pytest.param(UP, UP, None, id="the same again"),
        pytest.param(UP, replace(UP, since=11.0), Kind.RESTARTED, id="active since another moment"),
        pytest.param(UP, replace(UP, content_hash="i"), None, id="content alone says nothing of the run"),
        pytest.param(UP, replace(UP, active="failed", sub="failed", since=11), Kind.FAILED, id="failed"),
        pytest.param(UP, replace(UP, active="activating", sub="auto-restart", since=11), Kind.RESTARTING, id="again"),
        pytest.param(UP, replace(UP, load="error", message="m"), Kind.REFUSED, id="the machine cannot use it"),
        pytest.param(replace(UP, load="error", message="m"), replace(UP, load="error", message="m"), None, id="still"),
        pytest.param(UP, replace(UP, load="not-found", active="inactive"), None, id="given up: its removal is told"),
        pytest.param(replace(UP, load="not-found"), UP, Kind.ACTIVE, id="back after it was given up"),
        pytest.param(UP, replace(UP, active="deactivating", sub="stop", since=11), Kind.DEACTIVATING, id="on its way"),
    ],
)
def test_what_a_report_means_after_the_one_before(old: UnitState | None, new: UnitState, kind: Kind | None) -> None:
    assert state_kind(old, new) is kind


class Telling:
    """A store's history, told revision by revision."""

    def __init__(self) -> None:
        self.fold = Fold()
        self.deriver = Deriver(Listing(revision=1, items=()), self.fold)
        self.revision = 1

    def tell(self, changes: dict[str, bytes | None], *, now: float, clock: Clock = Clock.SEEN) -> list[Event]:
        """All of `changes` happen at one revision."""
        self.revision += 1
        told = []
        for key, value in changes.items():
            item = None
            if value is not None:
                item = KeyValue(key=key, value=value, create_revision=self.revision, mod_revision=self.revision)
            told.append((Changed(key=key, revision=self.revision, current=item), list(self.fold.apply(key, item))))
        return self.deriver.derive(told, now=now, clock=clock)

    def begin(self) -> None:
        """Two machines, and a unit that runs on the first."""
        for number, machine in ((1, W1), (2, W2)):
            value = mapper.machine_value(Machine(id=machine, name=f"w{number}", address="", incarnation="x"))
            self.tell({keys.machine(machine): value}, now=1)
        self.tell({keys.unit(A): mapper.unit_value("h", Desired.LAUNCHED, 1)}, now=2)
        self.tell({keys.placement(W1, A): placement("w1", since=3)}, now=3)
        self.tell({keys.state(W1, A): mapper.state_value(UP)}, now=4)

    def move(self, *, decided: float) -> list[Event]:
        return self.tell(
            {keys.placement(W1, A): None, keys.placement(W2, A): placement("w2", since=decided)}, now=decided
        )

    def runs(self, *, pulled: float, started: float, active: float) -> list[Event]:
        state = replace(UP, machine=W2, since=active, pulled_at=pulled, started_at=started)
        return self.tell({keys.state(W2, A): mapper.state_value(state)}, now=active)


def placement(machine: str, *, since: float) -> bytes:
    return mapper.placement_value(
        Placement(
            unit=A,
            machine=W1,
            content_hash="h",
            desired=Desired.LAUNCHED,
            reason="because",
            since=since,
            machine_name=machine,
        )
    )


def test_a_failovers_milliseconds_count_from_the_loss() -> None:
    telling = Telling()
    telling.begin()
    [left] = telling.tell({keys.machine(W1): None}, now=100.0)
    [moved] = telling.move(decided=100.25)
    active, failover = telling.runs(pulled=101.0, started=101.5, active=102.0)
    assert (left.kind, moved.kind, active.kind, failover.kind) == ("left", "moved", "active", "failover")
    assert (moved.left, moved.machine, moved.time, moved.clock) == ("w1", "w2", 100.25, Clock.RECORD)
    line = failover.timeline
    assert line is not None
    assert line.detected_at == 100.0
    assert (line.decided_ms, line.pulled_ms, line.started_ms, line.active_ms) == (250, 1000, 1500, 2000)


def test_a_loss_that_nobody_saw_counts_from_the_decision() -> None:
    telling = Telling()
    telling.begin()
    telling.tell({keys.machine(W1): None}, now=500.0, clock=Clock.LATER)
    telling.move(decided=100.25)
    *_, failover = telling.runs(pulled=0, started=0, active=102.25)
    line = failover.timeline
    assert line is not None
    assert line.detected_at is None
    assert (line.decided_ms, line.pulled_ms, line.active_ms) == (0, None, 2000)


def test_a_move_from_a_live_machine_is_no_failover() -> None:
    telling = Telling()
    telling.begin()
    [moved] = telling.move(decided=100.0)
    assert [event.kind for event in telling.runs(pulled=1, started=1, active=102)] == ["active"]
    assert moved.left == "w1"


def test_places_do_not_shift_when_something_is_not_told() -> None:
    """An observer that remembers less tells less, and calls the rest the same."""
    full, brief = Telling(), Telling()
    for telling in (full, brief):
        telling.begin()
    changes: dict[str, bytes | None] = {
        keys.state(W1, A): mapper.state_value(UP),
        keys.unit("b.service"): mapper.unit_value("h", Desired.INACTIVE, 1),
    }
    for telling in (full, brief):
        telling.tell({keys.machine(W1): None, keys.state(W1, A): None}, now=5)
    brief.deriver = Deriver(Listing(revision=brief.revision, items=()), brief.fold)
    ours, theirs = full.tell(changes, now=6), brief.tell(changes, now=6)
    assert len(ours) != len(theirs)
    assert [event.position for event in ours if event.unit == "b.service"] == [
        event.position for event in theirs if event.unit == "b.service"
    ]


def test_a_record_that_cannot_be_read_tells_nothing_and_breaks_nothing() -> None:
    telling = Telling()
    telling.begin()
    assert telling.tell({keys.state(W1, A): b"{nonsense"}, now=9) == []


def event(number: int, unit: str = "") -> Event:
    return Event(revision=number, index=0, time=float(number), clock=Clock.SEEN, kind=Kind.PLACED, unit=unit)


def test_the_ring_forgets_the_oldest_and_says_so() -> None:
    ring = Ring(capacity=10)
    for number in range(1, 20):
        ring.add([event(number)])
    assert ring.forgotten is not None
    kept = [each.revision for each in ring.latest(Wanted(), 100)]
    assert kept == list(range(ring.forgotten[0] + 1, 20))
    assert 10 <= len(kept) <= 12
    assert ring.add([event(5), event(19)]) == []


def test_the_ring_pages_without_gap_or_repetition() -> None:
    ring = Ring()
    ring.add([event(number, unit="ab"[number % 2]) for number in range(1, 20)])
    position, seen = (0, -1), []
    while True:
        some, position = ring.after(position, Wanted(unit="a"), 3)
        if not some:
            break
        seen += [each.revision for each in some]
    assert seen == list(range(2, 20, 2))
    assert position == (19, 0)


def test_files_are_bounded_and_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_files, "MAX_BYTES", 1000)
    files = EventFiles(tmp_path / "events")
    for number in range(1, 100):
        files.append([event(number)])
    files.write_reached(Reached(revision=99, keys=3))
    files.close()
    again = EventFiles(tmp_path / "events")
    numbers = [each.revision for each in again.read()]
    assert numbers == list(range(numbers[0], 100))
    assert sum(path.stat().st_size for path in (tmp_path / "events").iterdir()) < 3000
    assert again.read_reached() == Reached(revision=99, keys=3)


def test_a_disk_that_takes_nothing_costs_the_record_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    files = EventFiles(tmp_path / "file" / "events")
    files.append([event(1)])
    files.write_reached(Reached(revision=1, keys=1))
    assert files.read() == []


def test_positions_are_written_as_they_are_read() -> None:
    assert read_position(write_position((12, 8))) == (12, 8)
    whole = read_position("12")
    assert whole is not None
    assert (12, 8) < whole < (13, 0)


def test_a_disk_that_gets_low_is_told_once_and_room_again_once() -> None:
    telling = Telling()
    told = []
    for left in ("", "1.9 of 40 GB free", "1.8 of 40 GB free", "", "1.9 of 40 GB free"):
        machine = Machine(id=W1, name="w1", address="", incarnation="x", low_disk=left)
        told += telling.tell({keys.machine(W1): mapper.machine_value(machine)}, now=1)
    assert [(event.kind, event.machine, event.message) for event in told] == [
        (Kind.JOINED, "w1", ""),
        (Kind.DISK_LOW, "w1", "1.9 of 40 GB free"),
        (Kind.DISK_ROOM, "w1", ""),
        (Kind.DISK_LOW, "w1", "1.9 of 40 GB free"),
    ]
