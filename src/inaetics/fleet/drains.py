"""What is left on a machine, and what becomes of it: leaves now, leaves next, stays, or cannot leave and why. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from inaetics.fleet.board import Board
from inaetics.fleet.explain import Explainer
from inaetics.fleet.model import MachineId, Snapshot, UnitName, natural
from inaetics.fleet.moving import Mover
from inaetics.fleet.requirements import RequirementsCache
from inaetics.fleet.scheduler import Scheduler, is_wanted
from inaetics.fleet.transit import Transit, drain_of


class Fate(StrEnum):
    """What becomes of a unit of a drained machine."""

    LEAVING = "leaving"
    NEXT = "next"
    STUCK = "stuck"
    GLOBAL = "global"


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A unit that is on the machine; people read `why` as written."""

    unit: UnitName
    fate: Fate
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """How far the drain of one machine is: what is `left` there, and what has left but does not run yet."""

    left: tuple[Left, ...]
    arriving: int

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen by itself: what is left stays, or cannot leave."""
        return not self.arriving and all(each.fate in (Fate.STUCK, Fate.GLOBAL) for each in self.left)


def drain_of_machine(snapshot: Snapshot, machine: MachineId, cache: RequirementsCache | None = None) -> Drain:
    """Look at one machine that is there, drained or not."""
    found = _Look(snapshot, machine, cache or RequirementsCache())
    transit = Transit(snapshot)
    leaving = sum(placement.machine == machine for placement in transit.leaving())
    return Drain(left=tuple(found.left()), arriving=transit.count(drain_of(machine)) - leaving)


class _Look:
    """One machine of one snapshot."""

    def __init__(self, snapshot: Snapshot, machine: MachineId, cache: RequirementsCache) -> None:
        self._machine = machine
        self._board = Board(snapshot, cache)
        self._explainer = Explainer(snapshot, cache)
        self._mover = Mover(self._board, Scheduler(self._board), Transit(snapshot), ())

    def left(self) -> Iterator[Left]:
        """Every unit there, by name."""
        names = sorted(self._board.units_on(self._machine), key=natural)
        fates = {name: fate for name in names for fate in [self._alone(name)] if fate}
        for name in names:
            if name not in fates and self._mover.is_to_leave(self._machine, name):
                fates |= {each.unit: each for each in self._together(name)}
        for name in names:
            leaders = " and ".join(self._mover.leaders(self._machine, name))
            yield fates.get(name) or Left(unit=name, fate=Fate.LEAVING, why=f"goes with {leaders}, which leaves")

    def _alone(self, name: UnitName) -> Left | None:
        """What becomes of a unit that the drain need not move."""
        unit, placement = self._board.snapshot.units.get(name), self._board.placement(self._machine, name)
        if placement.withdraw:
            return Left(unit=name, fate=Fate.LEAVING, why=placement.reason)
        if unit is None or not is_wanted(unit):
            return Left(unit=name, fate=Fate.LEAVING, why="nobody wants it any more")
        if self._board.requirements(unit).is_global:
            return Left(unit=name, fate=Fate.GLOBAL, why="runs on every machine that fits, and stays")
        return None

    def _together(self, name: UnitName) -> Iterator[Left]:
        """What becomes of a unit and of those that go with it."""
        name, *followers = group = self._mover.group(self._machine, name)
        choice = self._mover.place_for(self._machine, group)
        if choice:
            why = f"there is a place on {self._board.snapshot.machines[choice.machine].name}"
            for each in group:
                yield Left(unit=each, fate=Fate.NEXT, why=why)
            return
        why = self._explainer.obstacles(name, self._machine)
        yield Left(unit=name, fate=Fate.STUCK, why=f"{why}{_beside(followers)}")
        for follower in followers:
            yield Left(unit=follower, fate=Fate.STUCK, why=f"goes with {name}, which cannot leave")


def _beside(followers: list[UnitName]) -> str:
    return f" (beside {' and '.join(followers)}, which it takes along)" if followers else ""
