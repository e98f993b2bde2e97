"""The fleet's snapshot as clients see it. Pure: a snapshot in, entities out, sorted, so that pages are stable.

The states are the original's: *inactive* while no machine reports a unit, *loaded* once one does, *launched* once that
machine has answered a placement that asks for it to run, whatever became of it since (`active` tells that).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from inaetics.api.facts import facts
from inaetics.api.wire import (
    ConstraintVerdict,
    ExplainReport,
    MachineEntry,
    MachineList,
    MachineRef,
    MachineVerdict,
    StateEntry,
    StateList,
    UnitEntry,
    UnitList,
    V1Machine,
    V1Option,
    V1State,
    V1Unit,
)
from inaetics.errors import UnitFileError
from inaetics.fleet.explain import Explanation
from inaetics.fleet.images import followed_by, is_pulling, sub_state
from inaetics.fleet.model import Desired, MachineId, Placement, Snapshot, Unit, UnitName, UnitState
from inaetics.units.names import parse_name
from inaetics.units.specifiers import Host, expand, expand_unplaced

Reason = Callable[[UnitName], str]
"""Says why a wanted unit has no machine."""

ABSENT = "not-found"
"""The load state with which an agent acknowledges that it has given a unit up."""

_RUNNING = frozenset({"activating", "active", "reloading", "deactivating"})


@dataclass(frozen=True, slots=True)
class Place:
    """Where a unit is, or is being taken away from, and what that machine reports."""

    placement: Placement
    state: UnitState | None

    @property
    def current(self) -> Desired:
        """The original's state of the unit."""
        if self.state is None:
            return Desired.INACTIVE
        if self.state.active in _RUNNING:
            return Desired.LAUNCHED
        answered = self.state.placement_revision >= self.placement.revision
        wanted = self.placement.desired is Desired.LAUNCHED and not self.placement.withdraw
        return Desired.LAUNCHED if wanted and answered else Desired.LOADED


def places(snapshot: Snapshot) -> dict[UnitName, Place]:
    """The place of every unit that has one; a place to stay counts before one that is being given up."""
    found: dict[UnitName, Place] = {}
    for key, placement in snapshot.placements.items():
        known = found.get(placement.unit)
        if known is None or (known.placement.withdraw and not placement.withdraw):
            found[placement.unit] = Place(placement, _report(snapshot, key))
    return found


def place_of(snapshot: Snapshot, name: UnitName) -> Place | None:
    """The place of one unit, as in `places`, at the cost of the number of machines."""
    found: Place | None = None
    for machine in _machines_with(snapshot, name):
        placement = snapshot.placements[machine, name]
        if found is None or found.placement.withdraw:
            found = Place(placement, _report(snapshot, (machine, name)))
    return found


def _report(snapshot: Snapshot, key: tuple[MachineId, UnitName]) -> UnitState | None:
    """What the machine says of the unit; that it does not have it is no report."""
    state = snapshot.states.get(key)
    return state if state is None or state.load != ABSENT else None


def _machines_with(snapshot: Snapshot, name: UnitName) -> Iterator[MachineId]:
    return (machine for machine, unit in snapshot.placements if unit == name)


def machine_list(snapshot: Snapshot) -> MachineList:
    """Every live machine, by name."""
    counts: dict[MachineId, int] = {}
    for placement in snapshot.placements.values():
        counts[placement.machine] = counts.get(placement.machine, 0) + 1
    entries = (
        MachineEntry(
            id=machine.id,
            name=machine.name,
            address=machine.address,
            metadata=dict(machine.metadata),
            cordoned=machine.cordoned,
            draining=machine.draining,
            memory=machine.memory,
            cores=machine.cores,
            version=machine.version,
            units=counts.get(machine.id, 0),
        )
        for machine in snapshot.machines.values()
    )
    return MachineList(snapshot.revision, tuple(sorted(entries, key=lambda entry: (len(entry.name), entry.name))))


def is_global(snapshot: Snapshot, name: UnitName) -> bool:
    """Whether the unit runs on every machine that fits."""
    unit = snapshot.units.get(name)
    return unit is not None and facts(unit.text).is_global


def unit_list(snapshot: Snapshot, reason: Reason) -> UnitList:
    """Every submitted unit, by name."""
    where = places(snapshot)
    names = sorted(snapshot.units)
    return UnitList(
        snapshot.revision, tuple(unit_entry(snapshot, snapshot.units[name], where.get(name), reason) for name in names)
    )


def unit_entry(snapshot: Snapshot, unit: Unit, place: Place | None, reason: Reason) -> UnitEntry:
    """One unit and what became of it. On a machine that is gone it is nowhere: it waits, there or elsewhere."""
    known = facts(unit.text)
    live = place if place and not known.is_global and place.placement.machine in snapshot.machines else None
    state = live.state if live else None
    machine = _ref(snapshot, live.placement.machine) if live else None
    waits = unit.desired is not Desired.INACTIVE and live is None and not known.is_global
    return UnitEntry(
        name=unit.name,
        hash=unit.content_hash,
        desired=unit.desired.value,
        current=(live.current if live else Desired.INACTIVE).value,
        description=_description(known.description, unit.name, machine),
        is_global=known.is_global,
        machine=machine,
        load=state.load if state else None,
        active=state.active if state else None,
        sub=sub_state(state) if state else None,
        result=state.result if state else None,
        message=(state.message or None) if state else None,
        reason=reason(unit.name) if waits else None,
        placed=live.placement.reason if live else None,
        since=state.since if state else None,
        image=_image(unit),
    )


def _image(unit: Unit) -> str | None:
    """The tag that the unit follows, and the digest that it keeps of it."""
    image = followed_by(unit.name, unit.text)
    if image is None:
        return None
    return f"{image.short}@{unit.image}" if unit.image else image.short


def _description(text: str, unit: str, machine: MachineRef | None) -> str:
    """A description for people: with its specifiers replaced as far as they are known, a template's as written."""
    name = parse_name(unit)
    if "%" not in text or name.is_template:
        return text
    try:
        if machine is None:
            return expand_unplaced(text, name=name)
        return expand(text, name=name, host=Host(machine_id=machine.id, name=machine.name))
    except UnitFileError:  # %m of a unit that has no machine yet, or what only the host itself knows
        return text


def state_list(snapshot: Snapshot) -> StateList:
    """Every machine's report of its units, by unit and machine; and who waits."""
    where = places(snapshot)
    entries = tuple(_state_entry(snapshot, state) for state in _sorted_states(snapshot))
    waiting = (
        name
        for name, unit in snapshot.units.items()
        if unit.desired is not Desired.INACTIVE
        and (name not in where or where[name].placement.machine not in snapshot.machines)
        and not facts(unit.text).is_global
    )
    return StateList(snapshot.revision, entries, tuple(sorted(waiting)))


def _state_entry(snapshot: Snapshot, state: UnitState) -> StateEntry:
    return StateEntry(
        name=state.unit,
        machine=_ref(snapshot, state.machine),
        load=state.load,
        active=state.active,
        sub=sub_state(state),
        hash=state.content_hash,
        result=state.result,
        message=state.message,
        since=state.since,
        image=state.image,
    )


def explain_report(explanation: Explanation, snapshot: Snapshot) -> ExplainReport:
    """The scheduler's explanation, and what is reported of the unit, for clients."""
    unit = snapshot.units.get(explanation.unit)
    reports = [state for state in _sorted_states(snapshot) if state.unit == explanation.unit]
    machines = tuple(
        MachineVerdict(
            one.machine,
            one.name,
            one.fits,
            tuple(ConstraintVerdict(each.constraint, each.holds, each.because) for each in one.verdicts),
        )
        for one in explanation.machines
    )
    return ExplainReport(
        unit=explanation.unit,
        summary=explanation.summary,
        waits=explanation.waits,
        machines=machines,
        remedies=explanation.remedies,
        states=tuple(_state_words(snapshot, state) for state in reports),
        image=_image(unit) if unit else None,
    )


def _state_words(snapshot: Snapshot, state: UnitState) -> str:
    """What a machine reports: "worker-2: activating (pulling 34 of 38 MB)"."""
    sub = state.message if is_pulling(state) else state.sub
    message = f": {state.message}" if state.message and not is_pulling(state) else ""
    return f"{_ref(snapshot, state.machine).name or state.machine}: {state.active} ({sub}){message}"


def v1_unit(unit: Unit, place: Place | None) -> V1Unit:
    """A unit as the original shows it; a global one has no machine and no current state."""
    known = facts(unit.text)
    placed = place if not known.is_global else None
    return V1Unit(
        name=unit.name,
        options=tuple(V1Option(option.section, option.name, option.value) for option in known.options),
        desired_state=unit.desired.value,
        current_state=(placed.current if placed else Desired.INACTIVE).value,
        machine_id=placed.placement.machine if placed else "",
    )


def v1_states(snapshot: Snapshot, *, machine_id: str | None = None, unit_name: str | None = None) -> list[V1State]:
    """What machines report, by unit and machine; only of one machine or unit where asked."""
    return [
        V1State(
            name=state.unit,
            hash=state.content_hash,
            machine_id=state.machine,
            systemd_load_state=state.load,
            systemd_active_state=state.active,
            systemd_sub_state=state.sub,
        )
        for state in _sorted_states(snapshot)
        if machine_id in (None, state.machine) and unit_name in (None, state.unit)
    ]


def v1_machines(snapshot: Snapshot) -> list[V1Machine]:
    """Live machines by id, as the original sorts them."""
    return [
        V1Machine(id=machine.id, primary_ip=machine.address, metadata=dict(machine.metadata))
        for _, machine in sorted(snapshot.machines.items())
    ]


def _sorted_states(snapshot: Snapshot) -> list[UnitState]:
    reports = (state for state in snapshot.states.values() if state.load != ABSENT)
    return sorted(reports, key=lambda state: (state.unit, state.machine))


def _ref(snapshot: Snapshot, machine_id: MachineId) -> MachineRef:
    """The machine as people name it; one that is gone has only its id."""
    machine = snapshot.machines.get(machine_id)
    return MachineRef(machine_id, machine.name, machine.address) if machine else MachineRef(machine_id, "", "")
