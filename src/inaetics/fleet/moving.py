"""Which units leave next because people asked for it: machines are drained, or the fleet is evened out. Pure.

Promises: a unit leaves only when it has a place to go, and that place is not promised twice; at most as many are under
way as was asked for; units that go together (MachineOf) leave together; global units stay.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from inaetics.fleet.balance import gain
from inaetics.fleet.board import Board
from inaetics.fleet.model import Machine, MachineId, Placement, UnitName, natural
from inaetics.fleet.requirements import Requirements
from inaetics.fleet.scheduler import Choice, Scheduler, is_wanted
from inaetics.fleet.transit import REBALANCE, Transit, drain_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """A placement to be withdrawn, since `target` would take the unit; `mark` says by which drain or rebalance."""

    placement: Placement
    target: MachineId
    reason: str
    mark: str


class Mover:
    """Decides on one board; who is in `leaving` is on its way out already."""

    def __init__(self, board: Board, scheduler: Scheduler, transit: Transit, leaving: Collection[UnitName]) -> None:
        self._board = board
        self._scheduler = scheduler
        self._transit = transit
        self._leaving = leaving
        self._stuck: set[object] = set()

    def departures(self) -> list[Departure]:
        """Who leaves now, drained machines first."""
        with self._board.trial():
            self._keep_promises()
            drained = [each for machine in self._board.draining() for each in self._drain(machine)]
            return [*drained, *self._even_out()]

    def _keep_promises(self) -> None:
        """Those that are asked to leave count where they will go, so that nobody else is sent there."""
        for placement in self._transit.leaving():
            name, machine = placement.unit, placement.machine
            unit = self._board.snapshot.units.get(name)
            placed = self._board.units_on(machine).get(name)
            if unit is None or placed is None or not is_wanted(unit):
                continue
            self._board.remove(machine, name)
            requirements = self._board.requirements(unit)
            choice = self._scheduler.choose(name, requirements, avoid=machine)
            if choice and name not in self._board.units_on(choice.machine):
                self._board.add(choice.machine, name, requirements)
            else:
                self._board.add(machine, name, placed)  # it will stay

    # One machine is to be empty.

    def _drain(self, machine: Machine) -> Iterator[Departure]:
        mark = drain_of(machine.id)
        under_way = self._transit.count(mark)
        for name in sorted(self._board.units_on(machine.id), key=natural):
            if under_way >= machine.at_once:
                return
            if not self.is_to_leave(machine.id, name):
                continue
            group = self.group(machine.id, name)
            if under_way and under_way + len(group) > machine.at_once:
                return
            choice = self.place_for(machine.id, group)
            if choice:
                self._take_along(machine.id, choice.machine, group)
                under_way += len(group)
                yield Departure(
                    placement=self._board.placement(machine.id, name),
                    target=choice.machine,
                    reason=f"{machine.name} is drained",
                    mark=mark,
                )

    def is_to_leave(self, machine: MachineId, name: UnitName) -> bool:
        """Whether this unit has to be moved by itself: not with another one, and not when it stays or goes anyway."""
        snapshot, on = self._board.snapshot, self._board.units_on(machine)
        unit, placement = snapshot.units.get(name), snapshot.placements.get((machine, name))
        if unit is None or placement is None or name not in on or name in self._leaving:
            return False
        if placement.withdraw or not is_wanted(unit) or self._board.requirements(unit).is_global:
            return False
        return not self.leaders(machine, name)

    def leaders(self, machine: MachineId, name: UnitName) -> list[UnitName]:
        """Those it goes with there; global ones do not count, as they are elsewhere too."""
        on = self._board.units_on(machine)
        return [peer for peer in on[name].machine_of if peer in on and not on[peer].is_global]

    def group(self, machine: MachineId, name: UnitName) -> list[UnitName]:
        """`name` and all that go with it there, leaders first."""
        on, found = self._board.units_on(machine), [name]
        for leader in found:
            followers = sorted(self._board.followers_of(leader))
            found += [each for each in followers if each in on and each not in found and leader in on[each].machine_of]
        return found

    def place_for(self, machine: MachineId, group: list[UnitName]) -> Choice | None:
        """Where all of `group` could go together from `machine`."""
        if any(len(self._board.machines_of(name)) > 1 for name in group):
            return None  # it was global once: its other places go first
        leader, *followers = self._requirements(group)
        if any(len(requirements.machine_of) > 1 for _, requirements in followers):
            return None  # it goes with several units, which might go to different places
        kind = None if followers or leader[1].machine_id else self._board.class_of(*leader)
        if kind in self._stuck:
            return None
        with self._board.trial():
            for name in group:
                self._board.remove(machine, name)
            choice = (
                self._scheduler.choose_with(*leader, followers, avoid=machine)
                if followers
                else self._scheduler.choose(*leader, avoid=machine)
            )
        if choice is None and kind is not None:
            self._stuck.add(kind)
        return choice

    def _requirements(self, group: list[UnitName]) -> list[tuple[UnitName, Requirements]]:
        """What the units ask for now; one that was destroyed asks for what it was placed with."""
        units = self._board.snapshot.units
        return [(name, self._board.requirements(units[name])) for name in group if name in units]

    def _take_along(self, old: MachineId, new: MachineId, group: list[UnitName]) -> None:
        for name in group:
            self._board.remove(old, name)
        for name, requirements in self._requirements(group):
            self._board.add(new, name, requirements)

    # The fleet is to be even.

    def _even_out(self) -> Iterator[Departure]:
        asked = self._board.snapshot.rebalance
        if asked is None:
            return
        under_way = self._transit.count(REBALANCE)
        for name, source in asked.moves:
            if under_way >= asked.at_once:
                return
            machine = self._board.machine(source)
            if machine is None or machine.draining or name not in self._board.units_on(source):
                continue
            if not self.is_to_leave(source, name) or len(self.group(source, name)) > 1:
                continue
            choice = self.place_for(source, [name])
            requirements = self._board.requirements(self._board.snapshot.units[name])
            if choice and gain(self._board, name, requirements, source, choice.machine):
                self._take_along(source, choice.machine, [name])
                under_way += 1
                yield Departure(
                    placement=self._board.placement(source, name),
                    target=choice.machine,
                    reason=f"{machine.name} is relieved",
                    mark=REBALANCE,
                )
