"""What a rollout would do, from what people ask. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

from inaetics.errors import Conflict, InvalidInput, NotFound
from inaetics.fleet.model import Snapshot, UnitName
from inaetics.fleet.rollout import Rollout
from inaetics.fleet.rollout_plan import instances, step_of
from inaetics.units.names import parse_name

MAX_UNITS = 2_000
"""A rollout's record is written with each of its steps."""


def draft(
    snapshot: Snapshot,
    target: UnitName,
    new_hash: str,
    *,
    rollout_id: str,
    at_once: int,
    by: str,
    now: float,
    new_text: str | None = None,
) -> Rollout:
    """Say which units get the content `new_hash`, and which do not and why; `new_text` unless the store has it.

    Raises NotFound for a target that does not exist, Conflict when there is nothing to do or another rollout is at it,
    InvalidInput for what is too much.
    """
    if parse_name(target).is_template:
        old_hash, taken, skipped = _of_template(snapshot, target, new_hash)
    else:
        old_hash, taken, skipped = _of_unit(snapshot, target, new_hash)
    template = snapshot.units.get(target) if parse_name(target).is_template else None
    template_hash = template.content_hash if template and template.content_hash != new_hash else ""
    if not taken and not template_hash:
        why = "; ".join(f"{name}: {reason}" for name, reason in skipped[:3]) or f"{target} has this content already"
        raise Conflict(f"nothing to update: {why}")
    if len(taken) > MAX_UNITS:
        raise InvalidInput(f"cannot update {len(taken)} units in one rollout: at most {MAX_UNITS} are taken")
    if new_text is None:
        new_text = snapshot.files[new_hash].text if new_hash in snapshot.files else ""
    made = Rollout(
        id=rollout_id,
        target=target,
        old_hash=old_hash,
        new_hash=new_hash,
        at_once=at_once,
        by=by,
        started_at=now,
        steps=tuple(step_of(snapshot.units[name], new_text, now) for name in taken),
        skipped=tuple(skipped),
        template_hash=template_hash,
    )
    refuse_second(made, snapshot.rollouts.values())
    return made


def refuse_second(rollout: Rollout, others: Iterable[Rollout]) -> None:
    """Raise Conflict when one of `others` is at work on the same units."""
    refuse_running(rollout.units, others, target=rollout.target)


def refuse_running(units: Collection[UnitName], others: Iterable[Rollout], *, target: UnitName | None = None) -> None:
    """Raise Conflict when one of `others` is at work on some of `units`, or on `target`."""
    for other in others:
        shared = sorted(other.units.intersection(units))
        if other.runs and (shared or other.target == target):
            raise Conflict(
                f"cannot update {target or shared[0]}: rollout {other.id} of {other.target} is {other.phase}"
                f" (see: fleetctl rollouts; undo it: fleetctl update --cancel {other.id})"
            )


Drafted = tuple[str, list[UnitName], list[tuple[UnitName, str]]]
"""Old content, units that get the new one, units that do not with the reason."""


def _of_unit(snapshot: Snapshot, name: UnitName, new_hash: str) -> Drafted:
    unit = snapshot.units.get(name)
    if unit is None:
        raise NotFound(f"unit {name!r} is not submitted: there is nothing to update (start it: fleetctl start {name})")
    return unit.content_hash, [name] if unit.content_hash != new_hash else [], []


def _of_template(snapshot: Snapshot, template: UnitName, new_hash: str) -> Drafted:
    """The instances with the template's old content; without a record of it, with what most of them have."""
    names = instances(snapshot, template)
    submitted = snapshot.units.get(template)
    if submitted is None and not names:
        raise NotFound(f"template {template!r} is not submitted and has no instances: there is nothing to update")
    hashes = Counter(snapshot.units[name].content_hash for name in names)
    hashes.pop(new_hash, None)
    if submitted and submitted.content_hash != new_hash:
        old_hash = submitted.content_hash
    else:
        old_hash = max(sorted(hashes), key=hashes.__getitem__, default="")
    taken = [name for name in names if snapshot.units[name].content_hash == old_hash]
    skipped = [(name, _why(snapshot, name, new_hash)) for name in names if name not in set(taken)]
    return old_hash, taken, skipped


def _why(snapshot: Snapshot, name: UnitName, new_hash: str) -> str:
    has = snapshot.units[name].content_hash
    return "has the new content already" if has == new_hash else f"has content of its own ({has[:7]})"
