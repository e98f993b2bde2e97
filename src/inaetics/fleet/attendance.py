"""Which machines are lost: known by their keys' ends, and by whether somebody was there to see them. Pure.

Promises: a machine that was never seen alive counts as lost only `grace_s` after leadership began. A key may be listed
that outlived its machine (after a power cut of everything each lease runs on for a TTL), so its end means something
only when this process knows that the machine lived since: it saw the key written, or a report under the key's lease
(its agent wrote that just then), or that lease renewed (`roll_call`), or saw the key last for longer than `grace_s`:
then somebody renewed it. So neither a restart of everything nor an election moves a unit, while a leader that takes
over from one that died with its machine, or that has only just begun itself, need not wait for machines it has heard.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from inaetics.fleet.model import MachineId

_HEARD = float("-inf")


@dataclass(slots=True)
class Attendance:
    """All instants are seconds of one clock that never goes back; a lease is the one that a machine's key is under."""

    grace_s: float
    _listed_at: dict[MachineId, float] = field(default_factory=dict)
    """When a machine that is there now was first seen; `_HEARD` when it was seen to live since."""
    _leases: dict[MachineId, int] = field(default_factory=dict)
    _witnessed: set[MachineId] = field(default_factory=set)
    """Machines that are gone and were certainly alive before."""

    def listed(self, machines: Mapping[MachineId, int], now: float) -> None:
        """The store was listed: these are there, each with its lease, and no other."""
        for machine in sorted(self._listed_at.keys() - machines.keys()):
            self.left(machine, now)
        for machine in machines:
            self._listed_at.setdefault(machine, now)
        self._leases = dict(machines)
        self._witnessed -= machines.keys()

    def arrived(self, machine: MachineId, lease: int) -> None:
        """The machine's key was written just now."""
        self._listed_at[machine] = _HEARD
        self._leases[machine] = lease
        self._witnessed.discard(machine)

    @property
    def unheard(self) -> dict[MachineId, int]:
        """Machines that are listed and may be dead, each with its lease."""
        return {
            machine: lease
            for machine, at in self._listed_at.items()
            if at != _HEARD and (lease := self._leases[machine])
        }

    def heard(self, machine: MachineId, lease: int) -> None:
        """Somebody wrote a report of the machine under `lease`, or renewed that, just now.

        Under another lease it is the report of an agent that comes back and has yet to write its machine's key: the
        key that stands is from before, and its end would say nothing.
        """
        if machine in self._listed_at and self._leases[machine] == lease:
            self._listed_at[machine] = _HEARD

    def left(self, machine: MachineId, now: float) -> bool:
        """The machine's key is gone; returns whether it was certainly alive before, so that nobody need wait for it."""
        self._leases.pop(machine, None)
        if now - self._listed_at.pop(machine, now) >= self.grace_s:
            self._witnessed.add(machine)
        return machine in self._witnessed

    def lost(self, holders: Iterable[MachineId], *, now: float, leading_since: float) -> frozenset[MachineId]:
        """Those of `holders`, machines with placements, that are gone and no longer waited for."""
        waited = now - leading_since >= self.grace_s
        return frozenset(
            machine for machine in holders if machine not in self._listed_at and (waited or machine in self._witnessed)
        )
