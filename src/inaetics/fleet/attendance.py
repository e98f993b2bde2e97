"""Which machines are lost: known by their keys' ends, and by whether somebody was there to see them. Pure.

Promises: a machine whose key was never seen alive counts as lost only `grace_s` after leadership began. A key may be
listed that outlived its machine (after a power cut of everything each lease runs on for a TTL), so its end means
something only when this process saw it written, or saw it last for longer than `grace_s`: then somebody renewed it, and
its end is the end of that machine. So neither a restart of everything nor an election moves a unit, while a leader that
takes over from one that died with its machine need not wait.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from inaetics.fleet.model import MachineId


@dataclass(slots=True)
class Attendance:
    """All instants are seconds of one clock that never goes back."""

    grace_s: float
    _listed_at: dict[MachineId, float] = field(default_factory=dict)
    """When a machine that is there now was first seen; minus infinity when its key was seen being written."""
    _witnessed: set[MachineId] = field(default_factory=set)
    """Machines that are gone and were certainly alive before."""

    def listed(self, machines: Iterable[MachineId], now: float) -> None:
        """The store was listed: these are there, and no other."""
        present = set(machines)
        for machine in sorted(self._listed_at.keys() - present):
            self.left(machine, now)
        for machine in present:
            self._listed_at.setdefault(machine, now)
        self._witnessed -= present

    def arrived(self, machine: MachineId) -> None:
        """The machine's key was written just now."""
        self._listed_at[machine] = float("-inf")
        self._witnessed.discard(machine)

    def left(self, machine: MachineId, now: float) -> None:
        """The machine's key is gone."""
        if now - self._listed_at.pop(machine, now) >= self.grace_s:
            self._witnessed.add(machine)

    def lost(self, holders: Iterable[MachineId], *, now: float, leading_since: float) -> frozenset[MachineId]:
        """Those of `holders`, machines with placements, that are gone and no longer waited for."""
        waited = now - leading_since >= self.grace_s
        return frozenset(
            machine for machine in holders if machine not in self._listed_at and (waited or machine in self._witnessed)
        )
