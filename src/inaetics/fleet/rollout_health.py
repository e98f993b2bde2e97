"""Whether a unit is well on the content it was given. Pure.

A gate is what the unit's file asks: `[X-Fleet] HealthyAfterSec=`, `Type=`, the time-outs. `HealthCommand=` needs
nothing here: it keeps the unit from being active.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from inaetics.errors import InvalidInput
from inaetics.fleet.images import sub_state
from inaetics.fleet.model import Desired, Placement, Snapshot, Unit, UnitName, UnitState
from inaetics.units.grammar import UnitFile, parse
from inaetics.units.values import time_span, timeout

HEALTHY_AFTER_S = 5.0
PLACED_WITHIN_S = 15.0
"""How long a unit may have its old content where it is, or no machine: those of a lost one are moved in less."""

_START_S, _STOP_S = 120.0, 90.0
"""Defaults of TimeoutStartSec= (the containers', the larger one) and TimeoutStopSec=."""
_UP = frozenset({"active", "reloading"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What one content asks: active for `after_s`, at the latest after `within_s`. A oneshot may have ended well."""

    after_s: float = HEALTHY_AFTER_S
    within_s: float = _START_S + _STOP_S + HEALTHY_AFTER_S + PLACED_WITHIN_S
    oneshot: bool = False


@dataclass(frozen=True, slots=True)
class Well:
    """It is as it should be; it counts once that has stood for the gate's time."""


@dataclass(frozen=True, slots=True)
class Unwell:
    """It will not be without help. `message` is for people."""

    message: str


@dataclass(frozen=True, slots=True)
class OnTheWay:
    """It may yet be well. `message` says what it waits for."""

    message: str


@dataclass(frozen=True, slots=True)
class Homeless:
    """It has no machine."""


Condition = Well | Unwell | OnTheWay | Homeless

Earlier = tuple[float, ...]
"""`Step.earlier`."""


@lru_cache(maxsize=256)
def gate_of(text: str) -> Gate:
    """Read the gate of a unit file; of one that cannot be read, the defaults."""
    try:
        unit = parse(text)
        after_s = time_span(unit.get("X-Fleet", "HealthyAfterSec") or f"{HEALTHY_AFTER_S:g}")
        start_s = _timeout(unit, "TimeoutStartSec", _START_S)
        stop_s = _timeout(unit, "TimeoutStopSec", _STOP_S)
    except InvalidInput:
        return Gate()
    return Gate(
        after_s=after_s,
        within_s=start_s + stop_s + after_s + PLACED_WITHIN_S,
        oneshot=unit.get("Service", "Type") == "oneshot",
    )


def _timeout(unit: UnitFile, name: str, default: float) -> float:
    text = unit.get("Service", name) or unit.get("Service", "TimeoutSec")
    return timeout(text) if text else default


def is_gated(unit: Unit) -> bool:
    """Whether the unit must prove itself: what does not run cannot."""
    return unit.desired is Desired.LAUNCHED


def condition(snapshot: Snapshot, unit: Unit, *, content_hash: str, earlier: Earlier, gate: Gate) -> Condition:
    """How the unit is on the content `content_hash` and its image, on every live machine where it is placed."""
    seats = list(_seats(snapshot, unit.name))
    if not seats:
        return Homeless()
    found = [_on_machine(placement, state, content_hash, unit.image, earlier, gate) for placement, state in seats]
    for kind in (Unwell, OnTheWay):
        for one in found:
            if isinstance(one, kind):
                return one
    return Well()


def runs(snapshot: Snapshot, unit: UnitName) -> Earlier:
    """The `since` of every report of the unit: what ran when it was about to be changed."""
    return tuple(sorted({state.since for _, state in _seats(snapshot, unit) if state}))


def _seats(snapshot: Snapshot, unit: UnitName) -> Iterator[tuple[Placement, UnitState | None]]:
    """The unit's placements on live machines with what is reported there."""
    for machine in sorted(snapshot.machines):
        placement = snapshot.placements.get((machine, unit))
        if placement is not None:
            yield placement, snapshot.states.get((machine, unit))


def _on_machine(
    placement: Placement, state: UnitState | None, content_hash: str, image: str, earlier: Earlier, gate: Gate
) -> Condition:
    where = placement.machine_name or placement.machine
    if placement.content_hash != content_hash:
        return OnTheWay(f"{where} has other content")
    if placement.image != image:
        return OnTheWay(f"{where} has another image")
    if state is None or state.placement_revision < placement.revision:
        return OnTheWay(f"{where} has not answered yet")
    if state.load == "error":
        return Unwell(f"on {where}: {state.message or 'it cannot run there'}")
    if state.content_hash != content_hash or state.since in earlier:
        return OnTheWay(f"{where} still runs what it ran before")
    return _running(state, where, gate)


def _running(state: UnitState, where: str, gate: Gate) -> Condition:
    if state.active in _UP:
        return Well()
    if state.active == "failed" or state.sub == "auto-restart":
        return Unwell(f"on {where}: {_words(state)}")
    if state.active == "inactive":
        if state.result not in ("", "success"):
            return Unwell(f"on {where}: {_words(state)}")
        return Well() if gate.oneshot else OnTheWay(f"it is inactive on {where}")
    return OnTheWay(f"it is {state.active} ({sub_state(state)}) on {where}")


def _words(state: UnitState) -> str:
    pieces = (state.result if state.result != "success" else "", state.message)
    return ": ".join(piece for piece in pieces if piece) or f"{state.active} ({state.sub})"
