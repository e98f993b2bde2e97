"""A rollout: new content for a unit, or for all instances of a template, given to a few at a time. Values only; pure.

A rollout is one record in the store, so that whoever leads goes on with it. `rollout_plan` says what is next.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from inaetics.fleet.model import UnitName


class Phase(StrEnum):
    """Where a rollout stands. The last three are ends."""

    ROLLING = "rolling"
    UNDOING = "undoing"
    DONE = "done"
    UNDONE = "undone"
    STOPPED = "stopped"


class Progress(StrEnum):
    """Where one unit of a rollout stands.

    `waiting` has the old content; `changing` was given the new one and has to prove itself; `failed` did not, and is
    about to get the old one back; `restoring` has got it and has to prove itself; `skipped` was left as it is.
    """

    WAITING = "waiting"
    CHANGING = "changing"
    DONE = "done"
    FAILED = "failed"
    RESTORING = "restoring"
    RESTORED = "restored"
    SKIPPED = "skipped"


AWAY = frozenset({Progress.CHANGING, Progress.FAILED, Progress.RESTORING})
"""Not to be counted on: at most `Rollout.at_once` units are at any time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One unit's part. `at` is Unix seconds of the last progress, by the clock of who led then.

    `before` tells the run before the last change of content: its report's `since`. A report with the same one says
    nothing about the new content yet.
    """

    unit: UnitName
    progress: Progress = Progress.WAITING
    at: float = 0.0
    message: str = ""
    before: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """`target` is the unit or template that people named, `by` who they said they are; times are Unix seconds.

    `template_hash` is the content the template was submitted with (empty: there is no such record): it becomes
    `new_hash` with the end. `skipped` names units left out from the start, with the reason.
    """

    id: str
    target: UnitName
    old_hash: str
    new_hash: str
    at_once: int
    by: str
    started_at: float
    steps: tuple[Step, ...]
    skipped: tuple[tuple[UnitName, str], ...] = ()
    template_hash: str = ""
    phase: Phase = Phase.ROLLING
    reason: str = ""
    ended_at: float = 0.0
    cancelled_by: str = ""
    revision: int = 0

    @property
    def runs(self) -> bool:
        """Whether there is something left to do."""
        return self.phase in (Phase.ROLLING, Phase.UNDOING)

    @property
    def units(self) -> frozenset[UnitName]:
        """Every unit it changes."""
        return frozenset(step.unit for step in self.steps)
