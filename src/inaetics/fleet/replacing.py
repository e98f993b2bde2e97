"""`Replaces=`: a unit that fits nowhere else takes the place of others, if these have another place to go. Pure."""

from __future__ import annotations

from inaetics.fleet.board import Board
from inaetics.fleet.conflicts import matches
from inaetics.fleet.model import MachineId, UnitName
from inaetics.fleet.requirements import Requirements
from inaetics.fleet.scheduler import Scheduler, is_wanted

Seat = tuple[MachineId, UnitName]


def victims(board: Board, scheduler: Scheduler, unit: UnitName, requirements: Requirements) -> list[Seat]:
    """The placements that must go so that `unit`, which fits nowhere, fits somewhere; none where that cannot be."""
    for machine in list(board.by_load(requirements.metadata)):
        seats = _replaced(board, machine, requirements)
        if seats and _fits_without(board, scheduler, machine, unit, requirements, seats):
            return seats
    return []


def claimant(
    board: Board, scheduler: Scheduler, machine: MachineId, victim: UnitName, lost: frozenset[MachineId]
) -> UnitName | None:
    """A wanted unit without a place, or with one on a lost machine, that replaces `victim` and fits on `machine`."""
    for name in sorted(board.replacers):
        unit = board.snapshot.units.get(name)
        if unit is None or not is_wanted(unit) or not lost.issuperset(board.machines_of(name)):
            continue
        requirements = board.requirements(unit)
        if not any(matches(pattern, victim) for pattern in requirements.replaces):
            continue
        with board.trial():
            for seat in _replaced(board, machine, requirements):
                board.remove(*seat)
            if scheduler.fits(name, requirements, machine):
                return name
    return None


def _replaced(board: Board, machine: MachineId, requirements: Requirements) -> list[Seat]:
    on = sorted(board.units_on(machine))
    return [(machine, name) for name in on if any(matches(pattern, name) for pattern in requirements.replaces)]


def _fits_without(
    board: Board,
    scheduler: Scheduler,
    machine: MachineId,
    unit: UnitName,
    requirements: Requirements,
    seats: list[Seat],
) -> bool:
    """Whether `unit` fits on `machine` once `seats` are free, and everybody there has another place to go."""
    with board.trial():
        for seat in seats:
            board.remove(*seat)
        if not scheduler.fits(unit, requirements, machine):
            return False
        board.add(machine, unit, requirements)
        for _, name in seats:
            victim = board.snapshot.units.get(name)
            if victim is None or not is_wanted(victim) or board.machines_of(name):
                return False  # it leaves anyway, or is in more than one place
            if board.requirements(victim).is_global:
                return False
            choice = scheduler.choose(name, board.requirements(victim), avoid=machine)
            if choice is None:
                return False
            board.add(choice.machine, name, board.requirements(victim))
    return True
