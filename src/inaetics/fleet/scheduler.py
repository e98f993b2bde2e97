"""Where a unit can go: hard rules first, then an even spread if asked for, then the least loaded machine.

Pure and deterministic.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import merge

from inaetics.fleet.board import Board, has_metadata
from inaetics.fleet.model import Desired, MachineId, Unit, UnitName
from inaetics.fleet.requirements import Requirements
from inaetics.fleet.spreading import template_of

_TIED = 32
"""Of so many equally empty values of a metadata key the least loaded machine is looked for; a key with more values
(one a machine) need not be searched through for every unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A machine for a unit; people read `reason` as written."""

    machine: MachineId
    reason: str


class Scheduler:
    """Answers for one board, as it is at the moment of asking."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def choose(self, unit: UnitName, requirements: Requirements, *, avoid: MachineId | None = None) -> Choice | None:
        """Pick the machine for `unit`, which must not be on the board itself; None where it fits nowhere.

        A machine that also takes the units that go with this one (MachineOf) and have no place is preferred.
        """
        if requirements.refused or self.in_circle(unit, requirements):
            return None
        if requirements.machine_id or requirements.machine_of:
            return self._choose_given(unit, requirements, avoid)
        followers = self._homeless_followers(unit)
        if followers:
            found = self._least_loaded(unit, requirements, avoid, followers)
            if found:
                return found
        return self._least_loaded(unit, requirements, avoid, ())

    def choose_with(
        self,
        unit: UnitName,
        requirements: Requirements,
        followers: Sequence[tuple[UnitName, Requirements]],
        *,
        avoid: MachineId,
    ) -> Choice | None:
        """Pick a machine that takes `unit` and all of `followers`, none of which may be on the board."""
        if requirements.refused or requirements.machine_id or requirements.machine_of:
            return None
        return self._least_loaded(unit, requirements, avoid, followers)

    def fits(self, unit: UnitName, requirements: Requirements, machine: MachineId, *, returns: bool = False) -> bool:
        """Whether `machine` may receive `unit`, which must not be on it.

        A unit that `returns` was there a moment ago: a cordon does not keep it out.
        """
        there = self._board.machine(machine)
        return (
            there is not None
            and (returns or not there.cordoned)
            and not requirements.refused
            and self.suits(requirements, machine)
            and self._board.has_room(machine, requirements)
            and not any(machine in taken for taken in self._board.excluded(unit, requirements))
        )

    def suits(self, requirements: Requirements, machine: MachineId) -> bool:
        """Whether what the machine is, and who must be there, agree with the requirements; conflicts aside."""
        there = self._board.machine(machine)
        return (
            there is not None
            and requirements.machine_id in (None, machine)
            and has_metadata(there, requirements.metadata)
            and self.has_peers(requirements, machine)
        )

    def has_peers(self, requirements: Requirements, machine: MachineId) -> bool:
        """Whether every unit that MachineOf= names is on `machine`."""
        on = self._board.units_on(machine)
        return all(peer in on for peer in requirements.machine_of)

    def in_circle(self, unit: UnitName, requirements: Requirements) -> bool:
        """Whether `unit` goes, through MachineOf= of those it goes with, with itself."""
        seen: set[UnitName] = set()
        ahead = list(requirements.machine_of)
        while ahead:
            peer = ahead.pop()
            if peer == unit:
                return True
            if peer not in seen:
                seen.add(peer)
                ahead += self._wanted_requirements(peer).machine_of
        return False

    def _wanted_requirements(self, name: UnitName) -> Requirements:
        unit = self._board.snapshot.units.get(name)
        return self._board.requirements(unit) if unit else Requirements()

    def _choose_given(self, unit: UnitName, requirements: Requirements, avoid: MachineId | None) -> Choice | None:
        """The machine is named: by its identity, or by who is there (a global unit is in many places)."""
        if requirements.machine_id:
            machines, reason = [requirements.machine_id], "it asks for this machine (MachineID)"
        else:
            machines = sorted(self._board.machines_of(requirements.machine_of[0]), key=self._board.load)
            reason = f"it goes with {' and '.join(requirements.machine_of)} (MachineOf)"
        for machine in machines:
            if machine != avoid and self.fits(unit, requirements, machine):
                return Choice(machine=machine, reason=reason)
        return None

    def _least_loaded(
        self,
        unit: UnitName,
        requirements: Requirements,
        avoid: MachineId | None,
        followers: Sequence[tuple[UnitName, Requirements]],
    ) -> Choice | None:
        taken = self._board.excluded(unit, requirements)
        for machine, why in self._in_order(unit, requirements):  # trying followers leaves the order as it was
            if machine == avoid or (taken and any(machine in these for these in taken)):
                continue
            if not self._board.has_room(machine, requirements):
                continue
            if followers and not self._takes_all(machine, (unit, requirements), followers):
                continue
            return Choice(machine=machine, reason=why + _least_loaded_reason(self._board.load(machine)))
        return None

    def _in_order(self, unit: UnitName, requirements: Requirements) -> Iterator[tuple[MachineId, str]]:
        """Machines with the right metadata, the best first, and what makes them better than by load alone."""
        key, metadata = requirements.spread_by, requirements.metadata
        if key is None:
            for machine in self._board.by_load(metadata, requirements):
                yield machine, ""
            return
        for count, values in self._board.spread(unit, key).levels():
            for start in range(0, len(values), _TIED):
                some = [
                    self._board.by_load((*metadata, (key, frozenset({value}))), requirements)
                    for value in values[start : start + _TIED]
                ]
                for machine in merge(*some, key=self._board.in_order):
                    there = self._board.snapshot.machines[machine]
                    yield machine, f"{key}={there.metadata[key]} has {_instances(count, unit)}, the fewest; "
        for machine in self._board.by_load((*metadata, (key, frozenset({None}))), requirements):
            yield machine, f"no machine with {key} fits; "

    def _takes_all(
        self,
        machine: MachineId,
        first: tuple[UnitName, Requirements],
        followers: Sequence[tuple[UnitName, Requirements]],
    ) -> bool:
        with self._board.trial():
            self._board.add(machine, *first)
            for name, requirements in followers:
                if not self.fits(name, requirements, machine):
                    return False
                self._board.add(machine, name, requirements)
        return True

    def _homeless_followers(self, unit: UnitName) -> list[tuple[UnitName, Requirements]]:
        """Wanted units that go with `unit`, also by way of others, and are on no live machine; leaders first."""
        if not self._board.followers_of(unit):
            return []
        found: dict[UnitName, Requirements] = {}
        ahead = [unit]
        while ahead:
            for name in sorted(self._board.followers_of(ahead.pop())):
                follower = self._board.snapshot.units.get(name)
                if follower and name not in found and name != unit and self._is_homeless(follower):
                    found[name] = self._board.requirements(follower)
                    ahead.append(name)
        return [(name, needs) for name, needs in found.items() if needs.machine_of and not needs.refused]

    def _is_homeless(self, unit: Unit) -> bool:
        homes = self._board.machines_of(unit.name)
        return is_wanted(unit) and not any(self._board.machine(home) for home in homes)


def is_wanted(unit: Unit | None) -> bool:
    """Whether `unit` should be on some machine."""
    return unit is not None and unit.desired is not Desired.INACTIVE


def _instances(count: int, unit: UnitName) -> str:
    return f"{count} {'instance' if count == 1 else 'instances'} of {template_of(unit)}"


def _least_loaded_reason(load: int) -> str:
    if load == 0:
        return "least loaded machine that fits (nothing else runs there)"
    return f"least loaded machine that fits ({load} other {'unit' if load == 1 else 'units'} there)"
