"""The last events in memory, found by position. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from inaetics.fleet.events import Event, Position

CAPACITY = 5_000
"""Some 3 MB of memory; a unit's start is three to five events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which events somebody asks for; what is empty does not choose. `machine` is a name or an id."""

    unit: str = ""
    machine: str = ""
    kind: str = ""
    since: float = 0.0

    def takes(self, event: Event) -> bool:
        """Whether `event` is one of them. A gap in the history concerns everybody."""
        return event.kind == "history" or (
            self.unit in ("", event.unit)
            and self.machine in ("", event.machine, event.machine_id, event.left)
            and self.kind in ("", event.kind)
            and event.time >= self.since
        )


class Ring:
    """At most `capacity` events and a fifth, in order. `forgotten` is the last position that was dropped, if any."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._events: list[Event] = []
        self.forgotten: Position | None = None

    @property
    def last(self) -> Position:
        """The position of the youngest event."""
        return self._events[-1].position if self._events else (0, -1)

    def add(self, events: Iterable[Event]) -> list[Event]:
        """Take in what is younger than everything here; returns that. Anything else was here before."""
        fresh = [event for event in events if event.position > self.last]
        self._events += fresh
        excess = len(self._events) - self._capacity
        if excess > self._capacity // 5:
            self.forgotten = self._events[excess - 1].position
            del self._events[:excess]
        return fresh

    def after(self, position: Position, wanted: Wanted, limit: int) -> tuple[list[Event], Position]:
        """The first `limit` wanted events behind `position`, and how far was looked."""
        found: list[Event] = []
        for event in self._from(position):
            if wanted.takes(event):
                found.append(event)
                if len(found) == limit:
                    return found, event.position
        return found, max(self.last, position)

    def latest(self, wanted: Wanted, limit: int) -> Sequence[Event]:
        """The last `limit` wanted events, oldest first."""
        found: list[Event] = []
        for event in reversed(self._events):
            if len(found) == limit:
                break
            if wanted.takes(event):
                found.append(event)
        return found[::-1]

    def _from(self, position: Position) -> Iterator[Event]:
        begin = bisect_right(self._events, position, key=lambda event: event.position)
        for number in range(begin, len(self._events)):
            yield self._events[number]
