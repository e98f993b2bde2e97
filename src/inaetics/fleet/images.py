"""Which image a unit runs, and which its tag means. Pure.

A unit keeps the digest it runs, wherever it runs: its record names it. The digest is learnt once, from a registry when
the unit is first to run, or from the first report of a machine when no registry answered then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from inaetics.errors import InvalidInput
from inaetics.fleet.model import Snapshot, UnitName, UnitState
from inaetics.units.container_arguments import SECTION
from inaetics.units.grammar import parse
from inaetics.units.image_names import Followed, followed
from inaetics.units.names import parse_name

_PULLING = ("pulling", "waiting for another image")
"""How the words begin that the program which fetches images says meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a registry has under a tag or digest: its layers' digests with their compressed sizes in bytes."""

    digest: str
    layers: Mapping[str, int] = field(default_factory=dict)


def followed_by(name: str, text: str) -> Followed | None:
    """The tag that the unit `name` with the file `text` follows; None for one that follows none."""
    if f"[{SECTION}]" not in text:
        return None
    return _followed(text, name if "%" in text else "any.service")


@lru_cache(maxsize=512)
def _followed(text: str, name: str) -> Followed | None:
    try:
        return followed(parse(text), parse_name(name))
    except InvalidInput:
        return None


def sub_state(state: UnitState) -> str:
    """The sub state as people read it: while an image is fetched it is `pulling`, not what runs the fetching."""
    return "pulling" if is_pulling(state) else state.sub


def is_pulling(state: UnitState) -> bool:
    """Whether the unit's image is being fetched, or waits for another one's to be."""
    return state.sub == "start-pre" and state.message.startswith(_PULLING)


def learnt(snapshot: Snapshot, name: UnitName) -> str:
    """The digest that a machine found the unit to run, where its record names none; else empty."""
    unit = snapshot.units.get(name)
    if unit is None or unit.image or not followed_by(name, unit.text):
        return ""
    for machine in sorted(snapshot.machines):
        placement, state = snapshot.placements.get((machine, name)), snapshot.states.get((machine, name))
        if placement and state and placement.content_hash == state.content_hash == unit.content_hash and state.image:
            return state.image
    return ""


def digests_in_use(snapshot: Snapshot) -> set[str]:
    """Every digest that a unit, a placement or an update on record names: a registry must not give them up."""
    used = {unit.image for unit in snapshot.units.values()}
    used |= {placement.image for placement in snapshot.placements.values()}
    used |= {state.image for state in snapshot.states.values()}
    for rollout in snapshot.rollouts.values():
        used |= {image for step in rollout.steps for image in (step.old_image, step.new_image or "")}
    return used - {""}
