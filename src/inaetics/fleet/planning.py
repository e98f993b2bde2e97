"""One pass of planning over some units: what is placed first, then places for the units that need one. Pure.

Last come the moves that people asked for, with what room is left.
"""

from __future__ import annotations

from collections.abc import Iterable

from inaetics.fleet.actions import Action, Move, Place, Remove, Update, Withdraw
from inaetics.fleet.board import Board
from inaetics.fleet.model import Desired, MachineId, Placement, Unit, UnitName, UnitState
from inaetics.fleet.moving import Departure, Mover
from inaetics.fleet.replacing import claimant, victims
from inaetics.fleet.requirements import Requirements
from inaetics.fleet.scheduler import Choice, Scheduler, is_wanted
from inaetics.fleet.transit import REBALANCE, Transit


class Pass:
    """Collects `actions`, and in `waiting` the units to look at again once something was freed or a machine changed.

    `is_even` says that nothing is left to do for a rebalance.
    The board is changed as decided; who calls takes that back.
    """

    def __init__(self, board: Board, lost: frozenset[MachineId], transit: Transit) -> None:
        self.actions: list[Action] = []
        self.waiting: set[UnitName] = set()
        self.is_even = False
        self._board = board
        self._lost = lost
        self._transit = transit
        self._scheduler = Scheduler(board)
        self._touched: set[tuple[MachineId, UnitName]] = set()
        self._looked: set[UnitName] = set()
        self._leaving: set[UnitName] = set()
        self._given_up: list[Placement] = []
        self._stranded: dict[UnitName, Placement] = {}
        self._homeless: set[UnitName] = set()
        self._nowhere: set[tuple[Requirements, tuple[str, ...]]] = set()

    def run(self, names: Iterable[UnitName]) -> None:
        """Plan for `names`; the first of them get the room there is."""
        ordered = list(names)
        for name in ordered:
            self._look(name)
        for placement in self._given_up:
            self._resettle(placement)
        given = [name for name in ordered if name in self._homeless and self._names_its_machine(name)]
        for name in (*self._stranded, *given, *ordered):
            self._settle(name)
        self._depart()

    def _depart(self) -> None:
        """Drain and even out."""
        asked = self._board.snapshot.rebalance
        if asked is None and not self._board.draining():
            return
        departures = Mover(self._board, self._scheduler, self._transit, self._leaving).departures()
        for each in departures:
            unit = self._board.snapshot.units[each.placement.unit]
            self._release(each.placement, unit, each.reason, departure=each)
        evening = self._transit.count(REBALANCE) or any(each.mark == REBALANCE for each in departures)
        self.is_even = asked is not None and not evening

    # What is placed.

    def _look(self, name: UnitName) -> None:
        """Look at what is placed of a unit, after those that it goes with: who they leave, it leaves."""
        if name in self._looked:
            return
        self._looked.add(name)
        unit = self._board.snapshot.units.get(name)
        placements = [self._board.placement(machine, name) for machine in self._board.machines_of(name)]
        if unit is None or not is_wanted(unit):
            reason = "it is not wanted any more" if unit else "it was destroyed"
            for placement in placements:
                self._release(placement, unit, reason)
        elif not unit.is_template:
            requirements = self._board.requirements(unit)
            for peer in requirements.machine_of:
                self._look(peer)
            if requirements.is_global or not placements:
                self._homeless.add(name)
            if requirements.is_global:
                for placement in placements:
                    self._look_at(placement, unit)
            elif placements:
                self._look_at_single(placements, unit)

    def _look_at_single(self, placements: list[Placement], unit: Unit) -> None:
        kept, *others = sorted(placements, key=lambda each: (each.withdraw, not self._is_there(each), each.machine))
        for other in others:  # it was global once
            self._release(other, unit, "it is not global any more")
        if not others:
            self._look_at(kept, unit)

    def _look_at(self, placement: Placement, unit: Unit) -> None:
        requirements = self._board.requirements(unit)
        if not self._is_there(placement):
            if placement.machine in self._lost and not requirements.is_global:
                self._stranded[unit.name] = placement
        elif placement.withdraw:
            self._leaving.add(unit.name)
            if self._acknowledgement(placement):
                self._given_up.append(placement)
        elif self._stays(placement, unit, requirements):
            if _carries(placement) != _carries(unit):
                self._update(placement, unit, unit.content_hash, placement.reason)
        else:
            self._dislodge(placement, unit, requirements)

    def _stays(self, placement: Placement, unit: Unit, requirements: Requirements) -> bool:
        """Whether the unit as submitted now may be where it is."""
        machine = placement.machine
        if requirements.refused or not self._scheduler.suits(requirements, machine):
            return False
        if placement.content_hash == unit.content_hash:
            return True
        if self._leaving.intersection(requirements.machine_of):
            return False
        with self._board.trial():
            self._board.remove(machine, unit.name)
            excluded = self._board.excluded(unit.name, requirements)
            return (
                self._board.has_room(machine, requirements)
                and not any(machine in these for these in excluded)
                and not self._scheduler.in_circle(unit.name, requirements)
            )

    def _dislodge(self, placement: Placement, unit: Unit, requirements: Requirements) -> None:
        """The unit does not fit where it is: it leaves, if it has a better place or none can be right."""
        machine = placement.machine
        if requirements.is_global:
            self._release(placement, unit, "the machine does not fit any more")
        elif placement.content_hash == unit.content_hash and not self._scheduler.has_peers(requirements, machine):
            self._release(placement, unit, f"{' and '.join(requirements.machine_of)}, which it goes with, left")
        elif self._scheduler.choose(unit.name, requirements, avoid=machine):
            self._release(placement, unit, "the machine does not fit any more and another one does")
        else:
            self.waiting.add(unit.name)
            other_image = placement.content_hash == unit.content_hash and placement.image != unit.image
            if placement.desired != unit.desired or other_image:
                self._update(placement, unit, placement.content_hash, placement.reason)

    def _release(
        self, placement: Placement, unit: Unit | None, reason: str, *, departure: Departure | None = None
    ) -> None:
        """Take a unit from a machine: those that go with it first; it must give it up itself, unless it is lost."""
        name, machine = placement.unit, placement.machine
        self._leaving.add(name)
        if not self._is_there(placement):
            if machine in self._lost:
                self._remove(placement, unit, None, f"{reason}; its machine is lost")
        elif placement.withdraw:
            state = self._acknowledgement(placement)
            if state:
                self._remove(placement, unit, state, placement.reason)
        else:
            followers = self._followers_on(machine, name)
            for follower in followers:
                if not follower.withdraw and follower.unit not in self._leaving:
                    theirs = self._board.snapshot.units.get(follower.unit)
                    self._release(follower, theirs, f"{name}, which it goes with, leaves", departure=departure)
            if not followers:
                self._withdraw(placement, unit, reason, departure)

    def _followers_on(self, machine: MachineId, name: UnitName) -> list[Placement]:
        on = self._board.units_on(machine)
        return [
            self._board.placement(machine, follower)
            for follower in sorted(self._board.followers_of(name))
            if follower in on and name in on[follower].machine_of
        ]

    def _is_there(self, placement: Placement) -> bool:
        return self._board.machine(placement.machine) is not None

    def _acknowledgement(self, placement: Placement) -> UnitState | None:
        """The machine's report that it has given up a withdrawn unit. That a report lacks says nothing."""
        state = self._board.snapshot.states.get((placement.machine, placement.unit))
        return state if state and state.placement_revision == placement.revision and state.load == "not-found" else None

    # What needs a place.

    def _resettle(self, placement: Placement) -> None:
        """A live machine gave a wanted unit up: another one takes it, or the same."""
        name, machine = placement.unit, placement.machine
        unit = self._board.snapshot.units[name]
        requirements = self._board.requirements(unit)
        state = self._acknowledgement(placement)
        self._board.remove(machine, name)
        choice = self._place_after(placement, requirements) or self._way_back(placement, requirements)
        self._board.add(machine, name, requirements)
        if choice is None:
            self._remove(placement, unit, state, "no machine fits any more")
            self._homeless.add(name)
        elif choice.machine == machine:
            self._leaving.discard(name)
            self._update(placement, unit, unit.content_hash, choice.reason)
        elif self._touch(machine, name) and self._touch(choice.machine, name):
            self._leaving.discard(name)
            self._moved(machine, choice.machine, name, requirements)
            reason = f"{placement.reason}; {choice.reason}" if placement.moved_by else choice.reason
            self.actions.append(
                Move(unit=unit, placement=placement, state=state, machine=choice.machine, reason=reason)
            )

    def _place_after(self, placement: Placement, requirements: Requirements) -> Choice | None:
        """Where a unit goes that gave up its place; not back there when another unit waits to replace it."""
        name, machine = placement.unit, placement.machine
        if requirements.is_global:
            fits = self._scheduler.fits(name, requirements, machine)
            return Choice(machine=machine, reason="global unit: on every machine that fits") if fits else None
        if self._leaving.intersection(requirements.machine_of):
            return None
        if claimant(self._board, self._scheduler, machine, name, self._lost):
            elsewhere = self._scheduler.choose(name, requirements, avoid=machine)
            if elsewhere:
                return elsewhere
        return self._scheduler.choose(name, requirements)

    def _way_back(self, placement: Placement, requirements: Requirements) -> Choice | None:
        """A unit that was to be moved, and whose new place is taken meanwhile, stays where it was."""
        on = self._board.units_on(placement.machine)
        if not placement.moved_by or any(peer in on and not on[peer].is_global for peer in requirements.machine_of):
            return None  # who goes with another one leaves for good: the other one follows
        if not self._scheduler.fits(placement.unit, requirements, placement.machine, returns=True):
            return None
        return Choice(machine=placement.machine, reason="it was to be moved, but no other machine fits any more")

    def _settle(self, name: UnitName) -> None:
        """Find a place for a unit that needs one, after those that it goes with."""
        placement = self._stranded.pop(name, None)
        if placement is None and name not in self._homeless:
            return
        self._homeless.discard(name)
        unit = self._board.snapshot.units[name]
        requirements = self._board.requirements(unit)
        for peer in requirements.machine_of:
            self._settle(peer)
        if requirements.is_global:
            self._spread(unit, requirements)
            return
        choice = self._choose(name, requirements)
        if choice is None or not self._touch(choice.machine, name):
            self.waiting.add(name)
            if choice is None and requirements.replaces:
                self._make_room(name, requirements)
        elif placement is None:
            self._board.add(choice.machine, name, requirements)
            self.actions.append(Place(unit=unit, machine=choice.machine, reason=choice.reason))
        else:
            self._moved(placement.machine, choice.machine, name, requirements)
            reason = f"{placement.machine_name or placement.machine} was lost; {choice.reason}"
            self.actions.append(Move(unit=unit, placement=placement, state=None, machine=choice.machine, reason=reason))

    def _names_its_machine(self, name: UnitName) -> bool:
        """Such units come first: they have no other place to go."""
        return self._board.requirements(self._board.snapshot.units[name]).machine_id is not None

    def _choose(self, name: UnitName, requirements: Requirements) -> Choice | None:
        """As the scheduler does, but ask only once for all units that fit on the same machines."""
        if self._leaving.intersection(requirements.machine_of):
            return None
        if requirements.machine_id or requirements.machine_of:
            return self._scheduler.choose(name, requirements)
        kind = self._board.class_of(name, requirements)
        if kind in self._nowhere:
            return None
        choice = self._scheduler.choose(name, requirements)
        if choice is None:
            self._nowhere.add(kind)
        return choice

    def _spread(self, unit: Unit, requirements: Requirements) -> None:
        """Place a global unit wherever it fits and is not yet."""
        homes = self._board.machines_of(unit.name)
        if any(not self._board.units_on(home)[unit.name].is_global for home in homes):
            self.waiting.add(unit.name)  # it was no global unit once: that placement goes first
            return
        for machine in list(self._board.by_load(requirements.metadata)):
            if machine in homes:
                continue
            if self._scheduler.fits(unit.name, requirements, machine) and self._touch(machine, unit.name):
                self._board.add(machine, unit.name, requirements)
                reason = "global unit: on every machine that fits"
                self.actions.append(Place(unit=unit, machine=machine, reason=reason))
            else:
                self.waiting.add(unit.name)

    def _make_room(self, name: UnitName, requirements: Requirements) -> None:
        seats = victims(self._board, self._scheduler, name, requirements)
        placements = [self._board.snapshot.placements.get(seat) for seat in seats]
        if None in placements:
            return  # one of them was sent there in this pass: once that is written, this unit is looked at again
        for placement in placements:
            if placement and not placement.withdraw:
                self._release(placement, self._board.snapshot.units.get(placement.unit), f"{name} replaces it here")

    # What is decided.

    def _touch(self, machine: MachineId, name: UnitName) -> bool:
        """Whether nothing was decided yet in this pass about this placement; what comes second waits for the next."""
        if (machine, name) in self._touched:
            return False
        self._touched.add((machine, name))
        return True

    def _update(self, placement: Placement, unit: Unit, content_hash: str, reason: str) -> None:
        if not self._touch(placement.machine, unit.name):
            return
        if content_hash != placement.content_hash:
            self._moved(placement.machine, placement.machine, unit.name, self._board.requirements(unit))
        self.actions.append(Update(unit=unit, placement=placement, content_hash=content_hash, reason=reason))

    def _withdraw(self, placement: Placement, unit: Unit | None, reason: str, departure: Departure | None) -> None:
        if placement.withdraw or not self._touch(placement.machine, placement.unit):
            return
        mark, target = (departure.mark, departure.target) if departure else ("", None)
        self.actions.append(Withdraw(unit=unit, placement=placement, reason=reason, moved_by=mark, target=target))

    def _remove(self, placement: Placement, unit: Unit | None, state: UnitState | None, reason: str) -> None:
        if self._touch(placement.machine, placement.unit):
            self._board.remove(placement.machine, placement.unit)
            self.actions.append(Remove(unit=unit, placement=placement, state=state, reason=reason))

    def _moved(self, old: MachineId, new: MachineId, name: UnitName, requirements: Requirements) -> None:
        self._board.remove(old, name)
        self._board.add(new, name, requirements)


def _carries(what: Unit | Placement) -> tuple[str, str, Desired]:
    """What of a unit its placement carries."""
    return what.content_hash, what.image, what.desired
