"""For how long what is reported of units has stood, and whether they ran through. Pure: the clock is told.

All that a leader remembers of a rollout; one that begins with nothing waits a little longer, and comes to the same end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from inaetics.fleet.images import is_pulling
from inaetics.fleet.model import MachineId, Placement, Snapshot, UnitName, UnitState
from inaetics.fleet.rollout import Step

Run = tuple[MachineId, int]
"""A placement as carried out: on which machine, answering which revision."""


@dataclass(slots=True)
class _Unit:
    shown: object
    since: float
    runs: dict[Run, float] = field(default_factory=dict)
    """Since when each was active, when that was first seen. What ran before the change of content is none of it."""
    restarted: bool = False
    pulled: bool = False


@dataclass(slots=True)
class Standing:
    """Call `look` whenever something may have changed."""

    _now: float = 0.0
    _units: dict[UnitName, _Unit] = field(default_factory=dict)

    def look(self, snapshot: Snapshot, steps: Iterable[Step], now: float) -> None:
        """Take in what is reported at the instant `now` of the units of `steps`; the others are forgotten."""
        self._now = now
        self._units = {step.unit: self._look(snapshot, step, now) for step in steps}

    def stood(self, unit: UnitName) -> float:
        """For how many seconds what is reported of `unit` was the same."""
        known = self._units.get(unit)
        return self._now - known.since if known else 0.0

    def restarted(self, unit: UnitName) -> bool:
        """Whether `unit` was active, and then again, without having been placed anew."""
        known = self._units.get(unit)
        return known.restarted if known else False

    def pulled(self, unit: UnitName) -> bool:
        """Whether `unit` was seen to fetch its image, which may take any time."""
        known = self._units.get(unit)
        return known.pulled if known else False

    def _look(self, snapshot: Snapshot, step: Step, now: float) -> _Unit:
        states = list(_reports(snapshot, step.unit))
        shown = tuple(
            (placement.machine, placement.content_hash, state and _shown(state)) for placement, state in states
        )
        known = self._units.get(step.unit)
        if known is None:
            known = _Unit(shown, now)
        elif known.shown != shown:
            known.shown, known.since = shown, now
        known.pulled |= any(state is not None and is_pulling(state) for _, state in states)
        placed = {(placement.machine, placement.revision) for placement, _ in states}
        runs = {
            (placement.machine, placement.revision): state.since
            for placement, state in states
            if state and _runs(state, placement) and state.since not in step.earlier
        }
        known.runs = {run: since for run, since in (runs | known.runs).items() if run in placed}
        known.restarted = any(known.runs[run] != since for run, since in runs.items())
        return known


def _shown(state: UnitState) -> tuple[object, ...]:
    """What counts as the same: while an image is fetched, how much of it is there counts too."""
    pulled = state.message if is_pulling(state) else ""
    return state.active, state.sub, state.since, state.load, pulled


def _reports(snapshot: Snapshot, unit: UnitName) -> Iterator[tuple[Placement, UnitState | None]]:
    for machine in sorted(snapshot.machines):
        placement = snapshot.placements.get((machine, unit))
        if placement is not None:
            yield placement, snapshot.states.get((machine, unit))


def _runs(state: UnitState, placement: Placement) -> bool:
    return state.active == "active" and state.placement_revision == placement.revision
