"""Units on their way because people asked for it: a machine is drained, or the fleet evened out. Pure.

Nothing is remembered: a unit is under way while its placement, marked by the drain or rebalance that moves it, is
withdrawn, or has moved and is not at rest yet. So a new leader counts the same, and no more move at once than allowed.
"""

from __future__ import annotations

from collections import defaultdict

from inaetics.fleet.model import MachineId, Placement, Snapshot, UnitName

Seat = tuple[MachineId, UnitName]

REBALANCE = "rebalance"
"""Marks what a rebalance moves."""

_PASSING = frozenset({"activating", "deactivating", "reloading"})


def drain_of(machine: MachineId) -> str:
    """Marks what the drain of `machine` moves."""
    return f"drain {machine}"


class Transit:
    """Who is under way in one live snapshot; told of every placement and state that changes by `look`."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._marks: dict[Seat, str] = {}
        self._seats: defaultdict[str, set[Seat]] = defaultdict(set)
        for seat, placement in snapshot.placements.items():
            if placement.moved_by:
                self.look(*seat)

    def look(self, machine: MachineId, unit: UnitName) -> bool:
        """Look at one placement again; returns whether a unit has arrived, or is no longer on its way."""
        seat = machine, unit
        placement = self._snapshot.placements.get(seat)
        before = self._marks.pop(seat, None)
        if before is not None:
            self._seats[before].discard(seat)
        if placement is None or not is_under_way(self._snapshot, placement):
            return before is not None
        self._marks[seat] = placement.moved_by
        self._seats[placement.moved_by].add(seat)
        return False

    def look_at_machine(self, machine: MachineId) -> bool:
        """Look again at all that is on its way from or to `machine`."""
        return any([self.look(*seat) for seat in list(self._marks) if seat[0] == machine])

    def count(self, mark: str) -> int:
        """How many units the drain or rebalance called `mark` has under way."""
        return len(self._seats.get(mark, ()))

    def leaving(self) -> list[Placement]:
        """Those that have not left yet, in a fixed order."""
        seats = sorted((unit, machine) for machine, unit in self._marks)
        found = [self._snapshot.placements[machine, unit] for unit, machine in seats]
        return [placement for placement in found if placement.withdraw]


def is_under_way(snapshot: Snapshot, placement: Placement) -> bool:
    """Whether a drain or rebalance moves this unit, and it has not come to rest at its new place.

    What was sent to a machine that failed since is no longer counted: a move that stands still must not hold up others.
    """
    machine = snapshot.machines.get(placement.machine)
    if not placement.moved_by or machine is None:
        return False
    if placement.withdraw:
        return True
    state = snapshot.states.get((placement.machine, placement.unit))
    if state is None or state.placement_revision != placement.revision:
        return machine.revision < placement.revision
    return state.active in _PASSING
