"""A rollout: new content or a new image for units, given to a few at a time. Values only; pure.

A rollout is one record in the store, so that whoever leads goes on with it. `rollout_plan` says what is next.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from inaetics.fleet.identifiers import UnitName


class Phase(StrEnum):
    """Where a rollout stands. The last three are ends."""

    ROLLING = "rolling"
    UNDOING = "undoing"
    DONE = "done"
    UNDONE = "undone"
    STOPPED = "stopped"


class Progress(StrEnum):
    """Where one unit of a rollout stands.

    `waiting` has what it had before; `changing` was given the new content or image and has to prove itself; `failed`
    did not, and is about to get the old one back; `restoring` has got it and has to prove itself; `skipped` was left as
    it is.
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

    `new_image` is the digest it gets, empty where that is learnt once it runs; None: it keeps its own. `old_image` is
    what it goes back to. `content_hash` is set in a rollout of images only: the content that the unit has and keeps.

    `earlier` tells the runs before the last change: the `since` of each machine's report. A report with one of them
    says nothing about what is new yet.
    """

    unit: UnitName
    progress: Progress = Progress.WAITING
    at: float = 0.0
    message: str = ""
    earlier: tuple[float, ...] = ()
    old_image: str = ""
    new_image: str | None = None
    content_hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """`target` is the unit or template that people named, `by` who they said they are; times are Unix seconds.

    With `of_images` each step has the digest that its unit gets, `target` says which images or units were named, and
    there is no old and new content.

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
    of_images: bool = False
    revision: int = 0

    @property
    def runs(self) -> bool:
        """Whether there is something left to do."""
        return self.phase in (Phase.ROLLING, Phase.UNDOING)

    @property
    def what(self) -> str:
        """What it gives units."""
        return "image" if self.of_images else "content"

    @property
    def units(self) -> frozenset[UnitName]:
        """Every unit it changes."""
        return frozenset(step.unit for step in self.steps)
