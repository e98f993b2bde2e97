"""Rollouts as they travel."""

from __future__ import annotations

from msgspec import Struct


class RolloutRequest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a client asks: new content for `name`, a unit or a template; without `text` the template's stored one.

    `by` says who asks, for the history. With `plan` nothing is begun.
    """

    name: str
    text: str | None = None
    at_once: int = 1
    by: str = ""
    plan: bool = False


class ImageUpdateRequest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a client asks: the units of these images (or these units, or templates) get what their tags mean now.

    No names: all units. `by` says who asks, for the history. With `plan` nothing is begun.
    """

    names: tuple[str, ...] = ()
    at_once: int = 1
    by: str = ""
    plan: bool = False


class PullEntry(Struct, frozen=True, kw_only=True):
    """What a machine has to fetch for a unit, in compressed bytes; None: that is not known."""

    machine: str
    size: int | None = None


class StepEntry(Struct, frozen=True, kw_only=True):
    """One unit's part. `progress`: waiting, changing, done, failed, restoring, restored, skipped.

    `machine` is where it is, with commas if in several places. `doing` says what goes on there, or how it proved
    itself.
    `old_image` and `new_image` are digests; without a new one it keeps its own. `pulls` belongs to plans.
    """

    unit: str
    progress: str
    at: float = 0.0
    message: str = ""
    machine: str = ""
    doing: str = ""
    old_image: str = ""
    new_image: str | None = None
    pulls: tuple[PullEntry, ...] = ()


class RolloutEntry(Struct, frozen=True, kw_only=True):
    """One update. `phase`: rolling, undoing; and as ends: done, undone, stopped. Times are Unix seconds.

    With `of_images` each step says which digest its unit gets, and there is no old and new content.
    """

    id: str
    target: str
    phase: str
    old_hash: str
    new_hash: str
    at_once: int
    by: str
    started_at: float
    ended_at: float = 0.0
    reason: str = ""
    cancelled_by: str = ""
    steps: tuple[StepEntry, ...] = ()
    skipped: tuple[StepEntry, ...] = ()
    of_images: bool = False

    @property
    def runs(self) -> bool:
        """Whether it goes on."""
        return self.phase in ("rolling", "undoing")


class RolloutReply(Struct, frozen=True, kw_only=True):
    """`revision` is the store's at which it was so: give it back as `after` to wait for the next change."""

    revision: int
    rollout: RolloutEntry


class RolloutList(Struct, frozen=True, kw_only=True):
    """The youngest first."""

    revision: int
    rollouts: tuple[RolloutEntry, ...] = ()
