"""Reads events off the changes of one revision after the other. Pure: the observer's clock is told.

Promises: the same revisions give the same events with the same positions, wherever reading began, except that what
came before the beginning is not remembered (when a machine left, how a unit was before its machine left).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from inaetics.fleet import keys
from inaetics.fleet.events import SLOTS, Clock, Event, Kind, Timeline
from inaetics.fleet.events_words import (
    GONE,
    image_words,
    metadata_words,
    phase_words,
    rollout_words,
    state_kind,
    state_words,
    steps_words,
    unit_words,
)
from inaetics.fleet.fold import (
    Change,
    Fold,
    MachineChanged,
    PlacementChanged,
    RolloutChanged,
    StateChanged,
    UnitChanged,
)
from inaetics.fleet.model import Machine, MachineId, Placement, UnitName, UnitState
from inaetics.store.protocol import Changed, Listing

Seat = tuple[MachineId, UnitName]

_FAILOVER_SLOT = SLOTS - 1


@dataclass(frozen=True, slots=True)
class _Failover:
    """A unit on its way from a lost machine to another."""

    seat: Seat
    left: str
    detected_at: float | None
    decided_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Memory:
    """What must be known of the past. `names` are of every machine heard of, `present` those that are there."""

    names: dict[MachineId, str]
    present: dict[MachineId, Machine]
    candidates: dict[str, tuple[int, str]]
    """For the engine's office, by key: (create revision, who)."""
    left_at: dict[MachineId, float | None] = field(default_factory=dict)
    failovers: dict[UnitName, _Failover] = field(default_factory=dict)
    before: dict[Seat, UnitState] = field(default_factory=dict)
    """What a machine that left had said last."""


class Deriver:
    """Remembers what is needed to tell what a change means."""

    def __init__(self, listing: Listing, fold: Fold) -> None:
        """Begin with everything there is at the listing's revision, and as `fold` has it."""
        names = {each.machine: each.machine_name for each in fold.placements.values()}
        self._memory = _Memory(
            names=names | {each.id: each.name for each in fold.machines.values()},
            present=dict(fold.machines),
            candidates={
                item.key: (item.create_revision, item.value.decode(errors="replace"))
                for item in listing.items
                if item.key.startswith(_OFFICE)
            },
        )

    def derive(
        self, told: Sequence[tuple[Changed, Sequence[Change]]], *, now: float, clock: Clock = Clock.SEEN
    ) -> list[Event]:
        """Take in whole revisions, in order; `now` is the observer's Unix time, `clock` says how it was observed."""
        found: list[Event] = []
        for revision, of_it in groupby(told, key=lambda one: one[0].revision):
            found += _Revision(self._memory, revision, list(of_it), now, clock).events()
        return found


class _Revision:
    """The changes of one revision."""

    def __init__(
        self,
        memory: _Memory,
        revision: int,
        told: list[tuple[Changed, Sequence[Change]]],
        now: float,
        clock: Clock,
    ) -> None:
        self._memory = memory
        self._revision = revision
        self._told = told
        self._now = now
        self._clock = clock
        self._place = 0
        placements = [each for _, some in told for each in some if isinstance(each, PlacementChanged)]
        self._taken = {each.unit: each.old for each in placements if each.new is None and each.old}
        self._given = {each.unit for each in placements if each.old is None and each.new}
        rollouts = [each.new for _, some in told for each in some if isinstance(each, RolloutChanged) and each.new]
        self._updates = {unit: rollout_words(each) for each in rollouts for unit in (*each.units, each.target)}

    def events(self) -> Iterator[Event]:
        for place, (event, changes) in enumerate(self._told):
            self._place = place
            if event.key.startswith(_OFFICE):
                yield from self._office(event)
            for change in changes:
                match change:
                    case UnitChanged():
                        yield from self._unit(change)
                    case PlacementChanged():
                        yield from self._placement(change)
                    case StateChanged():
                        yield from self._state(change)
                    case MachineChanged():
                        yield from self._machine(change)
                    case RolloutChanged():
                        yield from self._rollout(change)
                    case _:
                        pass  # of those who made the change, not of the fleet

    def _event(self, kind: Kind, *, slot: int = 0, time: float = 0.0, **fields: Any) -> Event:
        return Event(
            revision=self._revision,
            index=self._place * SLOTS + slot,
            time=time or self._now,
            clock=Clock.RECORD if time else self._clock,
            kind=kind,
            **fields,
        )

    def _name(self, machine: MachineId) -> str:
        return self._memory.names.get(machine) or machine

    def _office(self, event: Changed) -> Iterator[Event]:
        candidates = self._memory.candidates
        before = min(candidates.values(), default=(0, ""))
        if event.current is None:
            candidates.pop(event.key, None)
        else:
            value = event.current.value.decode(errors="replace")
            candidates[event.key] = (event.current.create_revision, value)
        after = min(candidates.values(), default=(0, ""))
        if after != before:
            message = f"{after[1]} leads the engine" if after[1] else "nobody leads the engine"
            yield self._event(Kind.LEADER, machine=after[1], left=before[1], message=message)

    def _unit(self, change: UnitChanged) -> Iterator[Event]:
        old, new = change.old, change.new
        if new is None:
            self._memory.failovers.pop(change.name, None)
            yield self._event(Kind.DESTROYED, unit=change.name)
        elif old is None:
            yield self._event(Kind.SUBMITTED, unit=change.name, message=unit_words(new))
        else:
            if old.content_hash != new.content_hash:
                message = f"new content {new.content_hash[:7]} (was {old.content_hash[:7]})"
                reason = self._updates.get(change.name, "")
                yield self._event(Kind.CHANGED, unit=change.name, message=message, reason=reason)
            elif message := image_words(old, new):
                reason = self._updates.get(change.name, "")
                yield self._event(Kind.CHANGED, unit=change.name, message=message, reason=reason)
            if old.desired != new.desired:
                message = f"{new.desired} is wanted (was {old.desired})"
                yield self._event(Kind.WANTED, slot=1, unit=change.name, message=message)

    def _placement(self, change: PlacementChanged) -> Iterator[Event]:
        new, old = change.new, change.old
        placement = new or old
        if placement and placement.machine_name:
            self._memory.names.setdefault(change.machine, placement.machine_name)
        where: dict[str, Any] = {
            "unit": change.unit,
            "machine": self._name(change.machine),
            "machine_id": change.machine,
        }
        if new is None:
            self._memory.before.pop((change.machine, change.unit), None)
            if change.unit not in self._given:
                self._memory.failovers.pop(change.unit, None)
                yield self._event(Kind.REMOVED, **where)
        elif old is None and change.unit in self._taken:
            left = self._taken[change.unit]
            name = self._name(left.machine)
            self._move(new, left, name)
            yield self._event(Kind.MOVED, time=new.since, left=name, reason=new.reason, **where)
        elif old is None:
            yield self._event(Kind.PLACED, time=new.since, reason=new.reason, **where)
        elif new.withdraw != old.withdraw:
            yield self._event(Kind.WITHDRAWN if new.withdraw else Kind.KEPT, reason=new.reason, **where)

    def _move(self, new: Placement, left: Placement, name: str) -> None:
        """Note that a unit goes elsewhere because its machine is gone: its timeline is told once it is active."""
        memory = self._memory
        memory.failovers.pop(new.unit, None)
        if left.machine not in memory.present:
            detected_at = memory.left_at.get(left.machine)
            memory.failovers[new.unit] = _Failover((new.machine, new.unit), name, detected_at, new.since)

    def _state(self, change: StateChanged) -> Iterator[Event]:
        seat, new = (change.machine, change.unit), change.new
        old = change.old or self._memory.before.pop(seat, None)
        if new is None:
            if old and old.load != GONE and change.machine not in self._memory.present:
                self._memory.before[seat] = old
            return
        kind = state_kind(old, new)
        where: dict[str, Any] = {
            "unit": change.unit,
            "machine": self._name(change.machine),
            "machine_id": change.machine,
        }
        if kind is not None:
            since = new.since if old is None or old.since != new.since else 0.0
            yield self._event(kind, time=since, message=state_words(kind, new), **where)
        failover = self._memory.failovers.get(change.unit)
        if failover and failover.seat == seat and new.active == "active" and new.load == "loaded":
            del self._memory.failovers[change.unit]
            timeline = _timeline(failover, new)
            yield self._event(
                Kind.FAILOVER,
                slot=_FAILOVER_SLOT,
                time=new.since,
                left=failover.left,
                reason=f"{failover.left} was lost",
                timeline=timeline,
                **where,
            )

    def _rollout(self, change: RolloutChanged) -> Iterator[Event]:
        old, new = change.old, change.new
        if new is None:
            return
        if old is None or old.phase != new.phase:
            message = f"{rollout_words(new)} {phase_words(new)}"
            yield self._event(Kind.ROLLOUT, unit=new.target, message=message, reason=new.reason)
        if old and (words := steps_words(old, new)):
            yield self._event(Kind.ROLLOUT, slot=1, unit=new.target, message=f"{rollout_words(new)}: {words}")

    def _machine(self, change: MachineChanged) -> Iterator[Event]:
        old, new = change.old, change.new
        name = new.name if new else old.name if old else change.id
        where: dict[str, Any] = {"machine": name, "machine_id": change.id}
        if new is None:
            self._memory.present.pop(change.id, None)
            self._memory.left_at[change.id] = self._now if self._clock is Clock.SEEN else None
            yield self._event(Kind.LEFT, **where)
            return
        known = change.id in self._memory.names
        self._memory.names[change.id] = new.name
        self._memory.present[change.id] = new
        if old is None:
            left_at = self._memory.left_at.pop(change.id, None)
            message = f"after {max(0.0, self._now - left_at):.1f} s" if left_at is not None else ""
            yield self._event(Kind.RETURNED if known else Kind.JOINED, message=message, **where)
            if new.low_disk:
                yield self._event(Kind.DISK_LOW, slot=3, message=new.low_disk, **where)
            return
        if old.incarnation != new.incarnation:
            yield self._event(Kind.RETURNED, message="its agent registered anew", **where)
        if old.cordoned != new.cordoned:
            yield self._event(Kind.CORDONED if new.cordoned else Kind.UNCORDONED, slot=1, **where)
        if words := metadata_words(old.metadata, new.metadata):
            yield self._event(Kind.METADATA, slot=2, message=words, **where)
        if bool(old.low_disk) != bool(new.low_disk):
            kind = Kind.DISK_LOW if new.low_disk else Kind.DISK_ROOM
            yield self._event(kind, slot=3, message=new.low_disk, **where)


def _timeline(failover: _Failover, state: UnitState) -> Timeline:
    detected_at = failover.detected_at
    if detected_at is not None:
        detected_at = min(detected_at, failover.decided_at)  # whoever decides may have seen it a moment earlier
    begin = failover.decided_at if detected_at is None else detected_at

    def after(instant: float) -> int | None:
        return round((instant - begin) * 1000) if instant >= begin else None

    return Timeline(
        detected_at=detected_at,
        decided_ms=after(failover.decided_at) or 0,
        pulled_ms=after(state.pulled_at),
        started_ms=after(state.started_at),
        active_ms=after(state.since) or 0,
    )


_OFFICE = f"{keys.ELECTION}/"
