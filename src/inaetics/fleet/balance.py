"""What would even out the fleet: which unit should leave which machine, and what that gains. Pure.

A move stops and starts a unit, so it must gain something by itself: two units less of a difference between two
machines, or between the instances that two values of a metadata key have (`SpreadBy=`). What only swaps two machines'
loads is not done, so a fleet that was evened out stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from inaetics.fleet.board import Board
from inaetics.fleet.model import MachineId, Snapshot, UnitName, natural
from inaetics.fleet.requirements import Requirements, RequirementsCache
from inaetics.fleet.scheduler import Scheduler, is_wanted

MAX_MOVES = 1000
"""More than this is asked for again: by then much may have changed."""

_WORTH = 2
"""The least difference that a move makes smaller: moving one of a difference of one only swaps it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedMove:
    """`unit` should go from `source` to `target`; people read `reason` as written."""

    unit: UnitName
    source: MachineId
    target: MachineId
    reason: str


def gain(board: Board, unit: UnitName, requirements: Requirements, source: MachineId, target: MachineId) -> str:
    """What a move gains, in words; empty when it is not worth it. The unit is on `source`, on the board too."""
    key = requirements.spread_by
    machines = board.snapshot.machines
    if key is not None:
        here, there = machines[source].metadata.get(key), machines[target].metadata.get(key)
        if here != there:
            if there is None:
                return ""
            if here is None:
                return f"{machines[target].name} has {key}={there}, {machines[source].name} no {key}"
            spread = board.spread(unit, key)
            more, less = spread.count(here), spread.count(there)
            if more - less >= _WORTH:
                return f"{key}={here} has {more} of its instances, {key}={there} {less}"
            if more <= less:
                return ""
    more, less = board.load(source), board.load(target)
    if more - less < _WORTH:
        return ""
    return f"{machines[source].name} has {more} units, {machines[target].name} {less}"


def plan_rebalance(snapshot: Snapshot, cache: RequirementsCache | None = None) -> list[PlannedMove]:
    """The moves that are worth it, one after the other, from the fullest machine down; each unit moves once."""
    board = Board(snapshot, cache or RequirementsCache())
    scheduler = Scheduler(board)
    found: list[PlannedMove] = []
    moved: set[UnitName] = set()
    with board.trial():
        before = -1
        while before < len(found):
            before = len(found)
            for machine in _fullest_first(board):
                found += _relieve(board, scheduler, machine, moved)
    return found[:MAX_MOVES]


def _fullest_first(board: Board) -> list[MachineId]:
    machines = board.snapshot.machines
    there = [machine for machine in board.holders() if machine in machines and not machines[machine].draining]
    return sorted(there, key=lambda machine: (-board.load(machine), natural(machines[machine].name), machine))


def _relieve(board: Board, scheduler: Scheduler, source: MachineId, moved: set[UnitName]) -> Iterator[PlannedMove]:
    """Move every unit that gains by it."""
    for name in sorted(board.units_on(source), key=natural):
        requirements = _movable(board, source, name)
        if requirements is None or name in moved:
            continue
        if requirements.spread_by is None and board.load(source) - _least_load(board) < _WORTH:
            continue
        with board.trial():
            board.remove(source, name)
            choice = scheduler.choose(name, requirements, avoid=source)
        why = gain(board, name, requirements, source, choice.machine) if choice else ""
        if choice and why:
            board.remove(source, name)
            board.add(choice.machine, name, requirements)
            moved.add(name)
            yield PlannedMove(unit=name, source=source, target=choice.machine, reason=why)


def _least_load(board: Board) -> int:
    return next((board.load(machine) for machine in board.by_load(())), 0)


def _movable(board: Board, source: MachineId, name: UnitName) -> Requirements | None:
    """What a unit asks for that may be moved by itself; None for one that may not."""
    unit = board.snapshot.units.get(name)
    if unit is None or not is_wanted(unit):
        return None
    requirements = board.requirements(unit)
    on = board.units_on(source)
    followed = any(name in on[each].machine_of for each in board.followers_of(name) if each in on)
    tied = followed or bool(requirements.machine_of)
    seat = board.snapshot.placements.get((source, name))
    if len(board.machines_of(name)) > 1:
        return None  # it was global once
    if tied or requirements.is_global or requirements.machine_id or seat is None or seat.withdraw:
        return None
    return requirements
