"""What to write next, so that every wanted unit is on a machine that fits. Pure and deterministic.

Promises, for each prefix of a plan: a unit that is not global is on one machine at most; what is written satisfies the
constraints of both sides; a live machine gives a unit up before another receives it; a unit is taken from where it runs
only when it is not wanted there any more or has a better place. Applying a plan leaves nothing to plan.

`Planner` keeps its indexes between plans and looks only at what changed; `plan` does the same from nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from inaetics.fleet.actions import Action
from inaetics.fleet.board import Board
from inaetics.fleet.fold import (
    Change,
    MachineChanged,
    PlacementChanged,
    RebalanceChanged,
    RolloutChanged,
    StateChanged,
    UnitChanged,
)
from inaetics.fleet.model import Machine, MachineId, Rebalance, Snapshot, UnitName, natural
from inaetics.fleet.planning import Pass
from inaetics.fleet.requirements import RequirementsCache
from inaetics.fleet.transit import Transit

Lost = frozenset[MachineId]
"""Machines that hold placements, are not there, and are no longer waited for."""


def plan(snapshot: Snapshot, *, lost: Lost = frozenset()) -> list[Action]:
    """Plan everything, from `snapshot` alone."""
    return Planner(snapshot).plan(lost=lost)


class Planner:
    """Plans for one live `snapshot`; told of every change to it by `changed`."""

    def __init__(self, snapshot: Snapshot, cache: RequirementsCache | None = None) -> None:
        self._board = Board(snapshot, cache or RequirementsCache())
        self._lost: Lost = frozenset()
        self._globals: set[UnitName] = set()
        self._waiting: set[UnitName] = set()
        self._dirty = {placement.unit for placement in snapshot.placements.values()}
        self._something_freed = False
        self._transit = Transit(snapshot)
        self._moves_due = True
        self._even_at = 0
        for name in snapshot.units:
            self._unit_changed(name)

    def changed(self, changes: Iterable[Change]) -> None:
        """Take in what has changed in the snapshot; each change once, after it is in the snapshot."""
        for change in sorted(changes, key=lambda each: not isinstance(each, MachineChanged)):
            match change:
                case UnitChanged():
                    self._unit_changed(change.name)
                case PlacementChanged():
                    self._placement_changed(change)
                case StateChanged():
                    self._state_changed(change)
                case MachineChanged():
                    self._machine_changed(change)
                case RolloutChanged():
                    pass  # what a rollout does is done to units
                case RebalanceChanged():
                    self._moves_due = True

    def again(self, units: Iterable[UnitName]) -> None:
        """Look at `units` again, and at whom they go with: what was planned for them could not be written."""
        for unit in units:
            self._dirty.add(unit)
            for machine in self._board.machines_of(unit):
                self._dirty.update(self._board.units_on(machine)[unit].machine_of)
        self._something_freed = True

    def absent_holders(self) -> list[MachineId]:
        """Machines that hold placements and are not there."""
        return [machine for machine in self._board.holders() if self._board.machine(machine) is None]

    def plan(self, *, lost: Lost) -> list[Action]:
        """Return what follows from everything that changed since the last plan, in the order to be applied.

        The result is assumed to be applied; what is not has to be handed to `again`.
        """
        for machine in lost ^ self._lost:
            self._dirty.update(self._board.units_on(machine))
        self._lost = lost
        names = self._dirty | self._waiting if self._something_freed else self._dirty
        if not names and not self._moves_due:
            return []
        self._dirty, self._something_freed, self._moves_due = set(), False, False
        asked = self._board.snapshot.rebalance
        with self._board.trial():
            decided = Pass(self._board, lost, self._transit)
            decided.run(self._with_peers(names))
        self._waiting.difference_update(names)
        self._waiting |= decided.waiting
        self._even_at = asked.revision if asked and decided.is_even else 0
        return decided.actions

    def rebalanced(self) -> Rebalance | None:
        """The rebalance for which the last plan found nothing left to do."""
        asked = self._board.snapshot.rebalance
        return asked if asked and asked.revision == self._even_at else None

    def _with_peers(self, names: set[UnitName]) -> list[UnitName]:
        """`names` and all they go with, in the order in which they get the room there is."""
        ahead, found = list(names), set(names)
        while ahead:
            unit = self._board.snapshot.units.get(ahead.pop())
            peers = self._board.requirements(unit).machine_of if unit else ()
            ahead += [peer for peer in peers if peer not in found]
            found.update(peers)
        return sorted(found, key=natural)

    def _unit_changed(self, name: UnitName) -> None:
        self._dirty.add(name)
        self._dirty.update(self._board.followers_of(name))
        unit = self._board.snapshot.units.get(name)
        requirements = self._board.requirements(unit) if unit else None
        if requirements:
            self._board.note(name, requirements)
        if requirements and requirements.is_global:
            self._globals.add(name)
        else:
            self._globals.discard(name)

    def _placement_changed(self, change: PlacementChanged) -> None:
        old, new = change.old, change.new
        if old:
            self._dirty.update(self._board.units_on(old.machine)[old.unit].machine_of)
        if not (old and new and old.content_hash == new.content_hash):
            self._something_freed |= old is not None
            if old:
                self._board.remove(old.machine, old.unit)
            if new:
                self._board.add(new.machine, new.unit, self._board.placed_requirements(new))
        self._moves_due |= self._transit.look(change.machine, change.unit)
        self._dirty.add(change.unit)
        self._dirty.update(self._board.followers_of(change.unit), self._waiting & self._board.replacers)

    def _state_changed(self, change: StateChanged) -> None:
        self._moves_due |= self._transit.look(change.machine, change.unit)
        placement = self._board.snapshot.placements.get((change.machine, change.unit))
        if placement and placement.withdraw:
            self._dirty.add(change.unit)

    def _machine_changed(self, change: MachineChanged) -> None:
        if _traits(change.old) == _traits(change.new):
            return
        self._board.machines_changed()
        self._transit.look_at_machine(change.id)
        self._moves_due = True
        self._dirty.update(self._board.units_on(change.id), self._globals)
        self._something_freed |= change.new is not None


def _traits(machine: Machine | None) -> object:
    """What scheduling reads of a machine."""
    if machine is None:
        return None
    words = machine.cordoned, machine.draining, machine.at_once
    return machine.name, machine.metadata, machine.memory, machine.cores, words


__all__ = ["Lost", "Planner", "plan"]
