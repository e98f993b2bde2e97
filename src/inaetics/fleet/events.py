"""What happened in the fleet, as values read off the store's own history. Pure.

Nothing is written for this: every process that follows the store derives the same events with the same identities
(revision, place within it), so a reader may go from one to another. Two identical histories give identical events but
for times that no record carries: those are the observer's, and say so (`Clock`).
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

SLOTS = 8
"""Identities kept for each change of the store: what one change means never shifts what the next one is called."""


class Kind(StrEnum):
    """What happened."""

    SUBMITTED = "submitted"
    CHANGED = "changed"
    WANTED = "wanted"
    DESTROYED = "destroyed"

    PLACED = "placed"
    MOVED = "moved"
    WITHDRAWN = "withdrawn"
    KEPT = "kept"
    REMOVED = "removed"

    LOADED = "loaded"
    ACTIVATING = "activating"
    ACTIVE = "active"
    RESTARTED = "restarted"
    RESTARTING = "restarting"
    RELOADING = "reloading"
    DEACTIVATING = "deactivating"
    INACTIVE = "inactive"
    FAILED = "failed"
    REFUSED = "refused"
    FAILOVER = "failover"

    JOINED = "joined"
    LEFT = "left"
    RETURNED = "returned"
    CORDONED = "cordoned"
    UNCORDONED = "uncordoned"
    METADATA = "metadata"
    DISK_LOW = "disk-low"
    DISK_ROOM = "disk-room"

    LEADER = "leader"
    ROLLOUT = "rollout"
    HISTORY = "history"


class Clock(StrEnum):
    """Whose clock an event's time is of.

    `record`: who did it wrote the time down. `seen`: of the host that saw it happen. `later`: of the host that read it
    in the store's history, after it happened.
    """

    RECORD = "record"
    SEEN = "seen"
    LATER = "later"


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """A unit's way from a lost machine to another one, in milliseconds since the loss was detected.

    `detected_at` is Unix seconds by the observer's clock; None when nobody here saw it, and then the decision counts
    as the beginning. The decision's time is the engine's, the later ones are of the machine that runs the unit.
    """

    detected_at: float | None
    decided_ms: int
    pulled_ms: int | None
    started_ms: int | None
    active_ms: int


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that happened. `time` is Unix seconds by `clock`.

    A msgspec struct although it is a value of the core: thousands are made in a moment, kept, and written down as they
    are.

    `machine` is a name, `machine_id` its identity; `left` names the machine a unit came from. `message` says what,
    `reason` why, both for people.
    """

    revision: int
    index: int
    time: float
    clock: Clock
    kind: Kind
    unit: str = ""
    machine: str = ""
    machine_id: str = ""
    left: str = ""
    reason: str = ""
    message: str = ""
    timeline: Timeline | None = None

    @property
    def position(self) -> Position:
        """Where it stands among all events."""
        return (self.revision, self.index)


Position = tuple[int, int]
"""(revision, index): the order of events, the same in every process."""


def write_position(position: Position) -> str:
    """As clients see it: `1234.8`."""
    return f"{position[0]}.{position[1]}"


def read_position(text: str) -> Position | None:
    """Read `1234.8`, or `1234` for everything of that revision; None for what is neither."""
    revision, dot, index = text.partition(".")
    if not _is_number(revision) or (dot and not _is_number(index)):
        return None
    return (int(revision), int(index) if dot else ALL)


ALL = 2**31
"""An index behind every event of its revision."""


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 19
