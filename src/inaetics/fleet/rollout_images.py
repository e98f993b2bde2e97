"""A rollout of images, from what people ask and from what tags mean now; and what it would cost. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from inaetics.errors import Conflict, InaeticsError, InvalidInput, NotFound
from inaetics.fleet.images import Manifest, followed_by
from inaetics.fleet.model import Desired, MachineId, Snapshot, Unit, UnitName, natural
from inaetics.fleet.rollout import Rollout, Step
from inaetics.fleet.rollout_draft import MAX_UNITS, refuse_running
from inaetics.fleet.rollout_words import seats
from inaetics.units.image_names import Followed

Meanings = Mapping[Followed, Manifest | InaeticsError]
"""What each tag means now, or why that cannot be said."""

_SHOWN = 3
_SUFFIX = ".service"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pull:
    """What one machine has to fetch for one unit. `size` counts compressed bytes; None: that is not known."""

    unit: UnitName
    machine: str
    size: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sorted:
    steps: list[Step] = field(default_factory=list)
    skipped: list[tuple[UnitName, str]] = field(default_factory=list)
    current: list[UnitName] = field(default_factory=list)


def chosen(snapshot: Snapshot, asked: Sequence[str]) -> dict[UnitName, Followed]:
    """The units that are meant, in the order of an update, with the tags they follow; nothing asked means all.

    A word names an image (`felix-agent`, `inaetics/felix-agent:latest`), a unit or a template. Raises NotFound for a
    word that names nothing that follows a tag.
    """
    all_units = {name: image for name, unit in snapshot.units.items() if (image := _image_of(unit))}
    names = sorted(all_units, key=lambda name: (all_units[name], natural(name)))
    if not asked:
        return {name: all_units[name] for name in names}
    for word in asked:
        if not any(_is_meant(word, name, image) for name, image in all_units.items()):
            raise _unknown(snapshot, word, set(all_units.values()))
    return {name: all_units[name] for name in names if any(_is_meant(word, name, all_units[name]) for word in asked)}


def draft_images(
    snapshot: Snapshot,
    asked: Sequence[str],
    means: Meanings,
    *,
    rollout_id: str,
    at_once: int,
    by: str,
    now: float,
) -> Rollout:
    """Say which units get the image that their tag means now, and which do not and why.

    Raises NotFound for what does not exist, Conflict when there is nothing to do or another rollout is at it,
    InvalidInput for what is too much, and what the lookup raised when no tag at all could be looked up.
    """
    units = {name: image for name, image in chosen(snapshot, asked).items() if image in means}
    refuse_running(units.keys(), snapshot.rollouts.values())
    found = _Sorted()
    for name, image in units.items():
        _sort(snapshot.units[name], means[image], found, now)
    if not found.steps:
        raise _nothing(units, means, found)
    if len(found.steps) > MAX_UNITS:
        raise InvalidInput(f"cannot update {len(found.steps)} units in one rollout: at most {MAX_UNITS} are taken")
    made = Rollout(
        id=rollout_id,
        target=UnitName(_target(asked, [units[step.unit] for step in found.steps])),
        old_hash="",
        new_hash="",
        at_once=at_once,
        by=by,
        started_at=now,
        steps=tuple(found.steps),
        skipped=tuple(found.skipped),
        of_images=True,
    )
    return made


def pulls(snapshot: Snapshot, rollout: Rollout, layers: Mapping[str, Mapping[str, int]]) -> list[Pull]:
    """What machines have to fetch, in the order of the steps; what an earlier one brings is there for the next.

    `layers` says what digests are made of. What a machine has is what runs there.
    """
    has: dict[MachineId, set[str]] = {}
    for (machine, _), placement in snapshot.placements.items():
        has.setdefault(machine, set()).update(layers.get(placement.image, {}))
    found, homes = [], seats(snapshot, rollout)
    for step in rollout.steps:
        new = layers.get(step.new_image or "")
        for machine in homes.get(step.unit, ()):
            there = has.setdefault(machine, set())
            size = None if new is None else sum(size for layer, size in new.items() if layer not in there)
            there.update(new or ())
            found.append(Pull(unit=step.unit, machine=snapshot.machines[machine].name, size=size))
    return found


def _image_of(unit: Unit) -> Followed | None:
    return None if unit.is_template else followed_by(unit.name, unit.text)


def _is_meant(word: str, name: UnitName, image: Followed) -> bool:
    if word in (image.name, image.repository, image.short, str(image), f"{image.name}:{image.tag}"):
        return True
    unit = word if word.endswith(_SUFFIX) else word + _SUFFIX
    stem, at, rest = unit.partition("@")
    return name == unit or (bool(at) and rest == _SUFFIX and name.startswith(f"{stem}@"))


def _sort(unit: Unit, means: Manifest | InaeticsError, found: _Sorted, now: float) -> None:
    if not unit.image:
        if unit.desired is not Desired.INACTIVE:  # else it takes the newest when it starts
            found.skipped.append((unit.name, "it is not known yet which image it runs"))
    elif isinstance(means, InaeticsError):
        found.skipped.append((unit.name, str(means)))
    elif means.digest == unit.image:
        found.current.append(unit.name)
    else:
        step = Step(
            unit=unit.name, at=now, old_image=unit.image, new_image=means.digest, content_hash=unit.content_hash
        )
        found.steps.append(step)


def _nothing(units: Mapping[UnitName, Followed], means: Meanings, found: _Sorted) -> InaeticsError:
    errors = [means[image] for image in units.values() if isinstance(means[image], InaeticsError)]
    if errors and not found.current:
        first = errors[0]
        assert isinstance(first, InaeticsError)
        return first
    why = [f"{name}: {reason}" for name, reason in found.skipped[:_SHOWN]]
    if found.current:
        why.append(f"{len(found.current)} of {len(units)} run what their tags mean")
    return Conflict(f"nothing to update: {'; '.join(why) or 'no unit follows the tag of an image'}")


def _unknown(snapshot: Snapshot, word: str, images: set[Followed]) -> NotFound:
    if UnitName(word) in snapshot.units:
        return NotFound(
            f"unit '{word}' follows no tag: it is no container, or its image is named by digest, or has Pull=never"
        )
    there = ", ".join(sorted(image.short for image in images)) or "none"
    return NotFound(f"no unit runs an image {word!r}, nor is one called so (images that units follow: {there})")


def _target(asked: Sequence[str], images: Sequence[Followed]) -> str:
    words = [str(word) for word in asked] or sorted({image.short for image in images})
    more = f" and {len(words) - _SHOWN} more" if len(words) > _SHOWN else ""
    return ", ".join(words[:_SHOWN]) + more
