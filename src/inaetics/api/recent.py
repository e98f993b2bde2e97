"""Which units something was heard of lately, so that who waits for a thousand units reads each change once.

Promises: `since(revision)` names every unit whose entry or reports may differ from what was shown at that revision, or
says that it does not know; an event costs the same however many units there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from inaetics.fleet.fold import Change, MachineChanged, PlacementChanged, StateChanged, UnitChanged
from inaetics.fleet.mirror import Mirror
from inaetics.fleet.model import MachineId, Snapshot, UnitName

_KEPT = 20_000
"""Names remembered beyond the units there are: those that were destroyed."""


class Recent:
    """Follows a mirror inside `following`; outside it knows nothing."""

    def __init__(self) -> None:
        self._at: dict[UnitName, int] = {}
        self._known_after: int | None = None
        self._placed: dict[UnitName, set[MachineId]] = {}
        self._reported: dict[UnitName, set[MachineId]] = {}
        self._snapshot = Snapshot()

    @contextmanager
    def following(self, mirror: Mirror) -> Iterator[None]:
        """Hear what `mirror` hears, for the block."""

        def hear(changes: Sequence[Change] | None) -> None:
            if changes is None:
                self.begin(mirror.snapshot)
            else:
                self.take(mirror.snapshot, changes)

        self.begin(mirror.snapshot)
        with mirror.listening(hear):
            yield

    def begin(self, snapshot: Snapshot) -> None:
        """Everything may have changed: know nothing from before."""
        self._snapshot = snapshot
        self._at.clear()
        self._known_after = snapshot.revision
        self._placed = _by_unit(snapshot.placements)
        self._reported = _by_unit(snapshot.states)

    def take(self, snapshot: Snapshot, changes: Sequence[Change]) -> None:
        """Note what changed up to the revision of `snapshot`."""
        self._snapshot = snapshot
        for change in changes:
            for name in self._touched(change):
                self._at.pop(name, None)
                self._at[name] = snapshot.revision
        while len(self._at) > len(snapshot.units) + _KEPT:
            oldest = next(iter(self._at))
            self._known_after = self._at.pop(oldest)

    def since(self, revision: int) -> list[UnitName] | None:
        """The units of which something was heard after `revision`, by name; None: that long ago is not known."""
        if self._known_after is None or revision < self._known_after:
            return None
        found = []
        for name in reversed(self._at):
            if self._at[name] <= revision:
                break
            found.append(name)
        return sorted(found)

    def placed_on(self, name: UnitName) -> frozenset[MachineId]:
        """The machines that have a placement of the unit."""
        return frozenset(self._placed.get(name, ()))

    def reported_by(self, name: UnitName) -> frozenset[MachineId]:
        """The machines that report the unit."""
        return frozenset(self._reported.get(name, ()))

    def _touched(self, change: Change) -> Sequence[UnitName]:
        match change:
            case UnitChanged():
                return (change.name,)
            case PlacementChanged():
                _note(self._placed, change.unit, change.machine, there=change.new is not None)
                return (change.unit,)
            case StateChanged():
                _note(self._reported, change.unit, change.machine, there=change.new is not None)
                return (change.unit,)
            case MachineChanged():
                return [name for machine, name in self._snapshot.placements if machine == change.id]
            case _:
                return ()  # it is about no unit


def _by_unit(keys: Iterable[tuple[MachineId, UnitName]]) -> dict[UnitName, set[MachineId]]:
    found: dict[UnitName, set[MachineId]] = {}
    for machine, name in keys:
        found.setdefault(name, set()).add(machine)
    return found


def _note(where: dict[UnitName, set[MachineId]], name: UnitName, machine: MachineId, *, there: bool) -> None:
    if there:
        where.setdefault(name, set()).add(machine)
        return
    left = where.get(name, set())
    left.discard(machine)
    if not left:
        where.pop(name, None)
