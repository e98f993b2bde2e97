"""How changes are put into words, and which changes of a unit's state are worth an event. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from inaetics.fleet.events import Kind
from inaetics.fleet.model import Unit, UnitState
from inaetics.fleet.rollout import Phase, Rollout
from inaetics.fleet.rollout_plan import short_digest

_BY_ACTIVE = {
    "activating": Kind.ACTIVATING,
    "active": Kind.ACTIVE,
    "reloading": Kind.RELOADING,
    "deactivating": Kind.DEACTIVATING,
    "inactive": Kind.INACTIVE,
    "failed": Kind.FAILED,
}
GONE = "not-found"
_ENDED = frozenset({Kind.FAILED, Kind.RESTARTING, Kind.REFUSED})


def state_kind(old: UnitState | None, new: UnitState) -> Kind | None:
    """What a new report means after `old`; None where it tells nothing new."""
    if new.load == GONE:
        return None  # given up: the removal of its placement follows, and is told
    if new.load == "error":
        again = old is not None and (old.load, old.message) == (new.load, new.message)
        return None if again else Kind.REFUSED
    if old is None or old.load == GONE:
        return Kind.LOADED if new.active == "inactive" else _BY_ACTIVE.get(new.active)
    if new.sub == "auto-restart":
        return None if (old.sub, old.since) == (new.sub, new.since) else Kind.RESTARTING
    if (old.active, old.since) == (new.active, new.since):
        return None
    if old.active == new.active == "active":
        return Kind.RESTARTED
    return _BY_ACTIVE.get(new.active)


def state_words(kind: Kind, state: UnitState) -> str:
    """What people should know of it: the result and the message of what went wrong."""
    if kind not in _ENDED:
        return ""
    result = state.result if state.result not in ("", "success") else ""
    return ": ".join(part for part in (result, state.message) if part)


def unit_words(unit: Unit) -> str:
    """What is known of a unit that was submitted."""
    return f"content {unit.content_hash[:7]}, {unit.desired} is wanted"


def image_words(old: Unit, new: Unit) -> str:
    """What became of a unit's image; nothing where nothing did, or where it was only found out."""
    if not old.image or old.image == new.image:
        return ""
    return f"image changed from {short_digest(old.image)} to {short_digest(new.image)}"


def metadata_words(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    """What became of a machine's metadata; nothing where nothing did."""
    gone = [f"{key} is gone" for key in sorted(old.keys() - new.keys())]
    there = [f"{key}={new[key]}" for key in sorted(new) if old.get(key) != new[key]]
    return ", ".join((*there, *gone))


def rollout_words(rollout: Rollout) -> str:
    """Which update it is."""
    return f"update {rollout.id}"


def phase_words(rollout: Rollout) -> str:
    """Where an update stands."""
    match rollout.phase:
        case Phase.ROLLING:
            change = "new images" if rollout.of_images else f"{rollout.old_hash[:7]} → {rollout.new_hash[:7]}"
            what = f"{change}, {len(rollout.steps)} to update"
            by = f", by {rollout.by}" if rollout.by else ""
            return f"begins: {what}, at most {rollout.at_once} at once{by}"
        case Phase.UNDOING:
            return "goes back"
        case _:
            return f"ends: {rollout.phase}"


def steps_words(old: Rollout, new: Rollout) -> str:
    """What became of its units."""
    before = {step.unit: step.progress for step in old.steps}
    moved = (step for step in new.steps if before.get(step.unit) != step.progress)
    return ", ".join(f"{step.unit} {step.progress}" + (f" ({step.message})" if step.message else "") for step in moved)
