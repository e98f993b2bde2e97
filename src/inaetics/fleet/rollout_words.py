"""What the units of a rollout are doing, in words for people. Pure.

"on worker-2: pulling 34 of 38 MB" comes from the machine's report; nothing of it is stored with the rollout.
"""

from __future__ import annotations

from collections.abc import Iterable

from inaetics.fleet.images import is_pulling
from inaetics.fleet.model import MachineId, Snapshot, UnitName
from inaetics.fleet.rollout import Progress, Rollout, Step
from inaetics.fleet.rollout_health import gate_of, is_gated


def seats(snapshot: Snapshot, rollout: Rollout) -> dict[UnitName, list[MachineId]]:
    """The live machines where the units of a rollout are placed, in their order."""
    units, found = rollout.units, dict[UnitName, list[MachineId]]()
    for machine, unit in sorted(seat for seat in snapshot.placements if seat[1] in units):
        if machine in snapshot.machines:
            found.setdefault(unit, []).append(machine)
    return found


def doing(snapshot: Snapshot, step: Step, machines: Iterable[MachineId]) -> str:
    """What goes on with a step's unit on its `machines`; empty for one that is at rest."""
    if step.progress is Progress.DONE and not step.message:
        unit = snapshot.units.get(step.unit)
        return f"active, healthy after {gate_of(unit.text).after_s:g} s" if unit and is_gated(unit) else ""
    if step.progress not in (Progress.CHANGING, Progress.RESTORING):
        return ""
    return "; ".join(_on(snapshot, step, machine) for machine in machines)


def _on(snapshot: Snapshot, step: Step, machine: MachineId) -> str:
    placement, state = snapshot.placements[machine, step.unit], snapshot.states.get((machine, step.unit))
    where = f"on {snapshot.machines[machine].name}"
    answers = state is not None and state.placement_revision >= placement.revision and state.since not in step.earlier
    if state is None or not answers or state.active == "deactivating":
        return f"{where}: stops what ran before"
    if is_pulling(state):
        return f"{where}: {state.message}"
    if state.active == "active":
        return f"{where}: active, to prove itself"
    word = "starts" if state.active == "activating" and state.sub != "auto-restart" else f"{state.active} ({state.sub})"
    return f"{where}: {word}" + (f", {state.message}" if state.message else "")
