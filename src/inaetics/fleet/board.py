"""The fleet as the scheduler sees it: who is where, indexed for the questions it asks. Pure.

Kept up to date by changes, each at a cost that does not grow with the number of units. `trial` lets a plan assume its
own decisions while it goes on, and takes them back at the end.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from inaetics.fleet.conflicts import ConflictIndex
from inaetics.fleet.model import Machine, MachineId, Placement, Snapshot, Unit, UnitName, natural
from inaetics.fleet.pools import Pool
from inaetics.fleet.requirements import Requirements, RequirementsCache
from inaetics.fleet.room import Floor, Room, floor_of
from inaetics.fleet.spreading import Group, Spread, template_of

Metadata = tuple[tuple[str, frozenset[str | None]], ...]
"""Keys with the values that will do; None among them takes a machine without the key."""


class Board:
    """Who is placed where, with the requirements of the content that was placed; loads; room; conflicts.

    `snapshot` may be a live view, whose changes are then reported by `add`, `remove` and `machines_changed`.
    """

    def __init__(self, snapshot: Snapshot, cache: RequirementsCache) -> None:
        self.snapshot = snapshot
        self._cache = cache
        self._conflicts = ConflictIndex()
        self._units_on: defaultdict[MachineId, dict[UnitName, Requirements]] = defaultdict(dict)
        self._machines_of: defaultdict[UnitName, dict[MachineId, None]] = defaultdict(dict)
        self._followers: defaultdict[UnitName, set[UnitName]] = defaultdict(set)
        self.replacers: set[UnitName] = set()
        """Units that replace others; some of them may have said so only in the past."""
        self._undo: list[tuple[MachineId, UnitName, Requirements | None]] | None = None
        self.room = Room()
        self._pools: dict[tuple[Metadata, Floor], Pool] = {}
        self._instances: defaultdict[Group, Counter[MachineId]] = defaultdict(Counter)
        self._spreads: dict[Group, Spread] = {}
        self.machines_changed()
        for placement in snapshot.placements.values():
            self.add(placement.machine, placement.unit, self.placed_requirements(placement))
        for unit in snapshot.units.values():
            self.note(unit.name, self.requirements(unit))

    def requirements(self, unit: Unit) -> Requirements:
        """What the submitted content asks for."""
        return self._cache.of(unit.name, unit.content_hash, unit.text)

    def placed_requirements(self, placement: Placement) -> Requirements:
        """What the content asks for that the placement was decided for."""
        file = self.snapshot.files.get(placement.content_hash)
        return self._cache.of(placement.unit, placement.content_hash, file.text if file else "")

    def machine(self, machine: MachineId) -> Machine | None:
        """The machine, if it is there now."""
        return self.snapshot.machines.get(machine)

    def placement(self, machine: MachineId, unit: UnitName) -> Placement:
        return self.snapshot.placements[machine, unit]

    def machines_of(self, unit: UnitName) -> tuple[MachineId, ...]:
        """Where `unit` is placed, sorted."""
        return tuple(sorted(self._machines_of.get(unit, ())))

    def units_on(self, machine: MachineId) -> Mapping[UnitName, Requirements]:
        return self._units_on.get(machine, {})

    def holders(self) -> list[MachineId]:
        """Machines that hold placements."""
        return [machine for machine, units in self._units_on.items() if units]

    def note(self, unit: UnitName, requirements: Requirements) -> None:
        """Remember whom `unit` goes with or replaces, so that `followers_of` and `replacers` find it."""
        for peer in requirements.machine_of:
            self._followers[peer].add(unit)
        if requirements.replaces:
            self.replacers.add(unit)

    def followers_of(self, unit: UnitName) -> Collection[UnitName]:
        """Units that go with `unit` (MachineOf); some of them may have said so only in the past."""
        return self._followers.get(unit, ())

    def load(self, machine: MachineId) -> int:
        return len(self._units_on.get(machine, ()))

    def machines_changed(self) -> None:
        """Take in that machines came, went, or changed what scheduling reads of them."""
        machines = self.snapshot.machines
        self._ranked = sorted(machines, key=lambda each: (natural(machines[each].name), each))
        self._rank = {machine: rank for rank, machine in enumerate(self._ranked)}
        self._forget_orders()
        self._draining = [machines[machine] for machine in self._ranked if machines[machine].draining]

    def _forget_orders(self) -> None:
        self._pools.clear()
        self._pools_of: list[list[tuple[Floor, Pool]]] = [[] for _ in self._ranked]
        self._spreads.clear()

    def by_load(self, metadata: Metadata, requirements: Requirements | None = None) -> Iterator[MachineId]:
        """Machines with this metadata that take new units, the least loaded first, then by name.

        With `requirements` most of those are left out that have no room for them.
        """
        floor = floor_of(requirements) if requirements else (0, 0)
        pool = self._pools.get((metadata, floor))
        if pool is None:
            pool = self._pools[metadata, floor] = self._new_pool(metadata, floor)
        return (self._ranked[rank] for rank in pool)

    def draining(self) -> Sequence[Machine]:
        """Machines that are to be empty, by name."""
        return self._draining

    def in_order(self, machine: MachineId) -> tuple[int, int]:
        """The sort key of `by_load`, for a machine that is there."""
        return self.load(machine), self._rank[machine]

    def has_room(self, machine: MachineId, requirements: Requirements) -> bool:
        """Whether what `requirements` declares is free on `machine`, which is there."""
        if not requirements.memory and not requirements.cpu:
            return True
        return self.room.holds(self.snapshot.machines[machine], requirements.memory, requirements.cpu)

    def spread(self, unit: UnitName, key: str) -> Spread:
        """How the placed instances of the template of `unit` that ask for it are spread over the values of `key`."""
        group = template_of(unit), key
        found = self._spreads.get(group)
        if found is None:
            machines = self.snapshot.machines
            counts = dict.fromkeys((each.metadata[key] for each in machines.values() if key in each.metadata), 0)
            for machine, count in self._instances[group].items():
                value = machines[machine].metadata.get(key) if machine in machines else None
                if value is not None:
                    counts[value] += count
            found = self._spreads[group] = Spread(counts)
        return found

    def excluded(self, unit: UnitName, requirements: Requirements) -> list[Collection[MachineId]]:
        """Collections of machines that `unit` cannot join because of who is there."""
        return self._conflicts.excluded(unit, _patterns(requirements))

    def class_of(self, unit: UnitName, requirements: Requirements) -> tuple[Requirements, tuple[str, ...]]:
        """Units of one class fit on the same machines."""
        self._conflicts.excluded(unit, _patterns(requirements))
        return requirements, self._conflicts.covering(unit)

    def add(self, machine: MachineId, unit: UnitName, requirements: Requirements) -> None:
        """Note that `unit` is placed on `machine`."""
        self._add(machine, unit, requirements)
        if self._undo is not None:
            self._undo.append((machine, unit, None))

    def remove(self, machine: MachineId, unit: UnitName) -> None:
        """Note that `unit` is no longer placed on `machine`."""
        requirements = self._remove(machine, unit)
        if self._undo is not None:
            self._undo.append((machine, unit, requirements))

    @contextmanager
    def trial(self) -> Iterator[None]:
        """What is added and removed inside the block is taken back at its end."""
        outer, self._undo = self._undo, []
        try:
            yield
        finally:
            undo, self._undo = self._undo, outer
            if outer is None and len(undo) > len(self._ranked):
                self._forget_orders()  # to make them anew costs less than to take all that back in them
            for machine, unit, requirements in reversed(undo):
                if requirements is None:
                    self._remove(machine, unit)
                else:
                    self._add(machine, unit, requirements)

    def _add(self, machine: MachineId, unit: UnitName, requirements: Requirements) -> None:
        on = self._units_on[machine]
        assert unit not in on, f"{unit} is on {machine} already"
        on[unit] = requirements
        self.note(unit, requirements)
        self._machines_of[unit][machine] = None
        self._conflicts.add(machine, unit, _patterns(requirements))
        self.room.take(machine, requirements)
        if requirements.spread_by:
            self._count((template_of(unit), requirements.spread_by), machine, 1)
        self._reload(machine, len(on) - 1, len(on))

    def _remove(self, machine: MachineId, unit: UnitName) -> Requirements:
        on = self._units_on[machine]
        requirements = on.pop(unit)
        del self._machines_of[unit][machine]
        if not self._machines_of[unit]:
            del self._machines_of[unit]
        self._conflicts.remove(machine, unit, _patterns(requirements))
        self.room.take(machine, requirements, -1)
        if requirements.spread_by:
            self._count((template_of(unit), requirements.spread_by), machine, -1)
        self._reload(machine, len(on) + 1, len(on))
        return requirements

    def _reload(self, machine: MachineId, old: int, new: int) -> None:
        rank = self._rank.get(machine)
        if rank is None:
            return
        there = self.snapshot.machines[machine]  # machines_changed is told before anything else
        memory, cpu = self.room.free(there)
        for (least_memory, least_cpu), pool in self._pools_of[rank]:
            if least_memory > memory or least_cpu > cpu:
                if rank in pool:
                    pool.drop(rank, old)
            elif rank in pool:
                pool.reload(rank, old, new)
            else:
                pool.put(rank, new)

    def _count(self, group: Group, machine: MachineId, by: int) -> None:
        self._instances[group][machine] += by
        spread = self._spreads.get(group)
        there = self.machine(machine)
        if spread and there and group[1] in there.metadata:
            spread.note(there.metadata[group[1]], by)

    def _new_pool(self, metadata: Metadata, floor: Floor) -> Pool:
        machines = self.snapshot.machines
        pool = Pool(())
        for rank, machine in enumerate(self._ranked):
            there = machines[machine]
            if not there.cordoned and has_metadata(there, metadata):
                self._pools_of[rank].append((floor, pool))
                if self.room.holds(there, *floor):
                    pool.put(rank, self.load(machine))
        return pool


def has_metadata(machine: Machine, metadata: Metadata) -> bool:
    """Every key must have one of its values."""
    return all(machine.metadata.get(key) in values for key, values in metadata)


def _patterns(requirements: Requirements) -> tuple[str, ...]:
    return requirements.conflicts + requirements.replaces
