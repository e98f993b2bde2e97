"""Events as they travel: what `/inaetics/v1/events` answers, as one JSON object or as a stream of them."""

from __future__ import annotations

from msgspec import Struct

HEARTBEAT_S = 10.0
"""A stream on which nothing happens carries a comment this often."""


class TimelineEntry(Struct, frozen=True, kw_only=True):
    """A unit's way from a lost machine to another, in milliseconds since the loss was detected.

    `detected_at` is Unix seconds; null when nobody here saw the loss, and then the decision counts as the beginning.
    """

    detected_at: float | None = None
    decided_ms: int = 0
    pulled_ms: int | None = None
    started_ms: int | None = None
    active_ms: int = 0


class EventEntry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that happened. `id` is the same whichever host is asked; give it back as `after`.

    `time` is Unix seconds by `clock`: "record" (written down by who did it), "seen" (by the host that answers), "later"
    (by that host, reading the history after the event).
    """

    id: str
    time: float
    clock: str
    kind: str
    unit: str = ""
    machine: str = ""
    machine_id: str = ""
    left: str = ""
    reason: str = ""
    message: str = ""
    timeline: TimelineEntry | None = None


class EventList(Struct, frozen=True, kw_only=True):
    """`last` is how far was looked: give it back as `after`. Events up to `forgotten` are not here any more."""

    last: str
    events: tuple[EventEntry, ...] = ()
    forgotten: str | None = None
