"""The fleet without processes: a store's keys, machines that follow their placements, and judges of every revision.

The judges know nothing of the planner: they look at each write with rules of their own, slow and plain.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from inaetics.fleet import keys, mapper
from inaetics.fleet.balance import plan_rebalance
from inaetics.fleet.fold import Change, Fold
from inaetics.fleet.model import (
    Desired,
    Machine,
    MachineId,
    Placement,
    Rebalance,
    Snapshot,
    Unit,
    UnitName,
    UnitState,
)
from inaetics.store.protocol import Delete, Guard, KeyValue, ModIs, Op, Put
from inaetics.units.fleet_section import FleetSection, fleet_section
from inaetics.units.grammar import parse
from inaetics.units.names import parse_name
from inaetics.units.needs import needs


def service(*options: str) -> str:
    """A unit file with these options of [X-Fleet]."""
    return "\n".join(["[Service]", "ExecStart=/bin/true", "[X-Fleet]", *options, ""])


def machine_id(number: int) -> MachineId:
    return MachineId(f"{number:032x}")


@dataclass
class World:
    """Everything there is. `put`, `delete` and `commit` are the only ways to change the store."""

    fold: Fold = field(default_factory=Fold)
    items: dict[str, KeyValue] = field(default_factory=dict)
    revision: int = 0
    running: dict[MachineId, set[UnitName]] = field(default_factory=dict)
    """What really runs, on machines that have power; a machine that is cut off is in here and not in the store."""
    obeyed: dict[MachineId, dict[UnitName, Placement]] = field(default_factory=dict)
    """What each agent has carried out, and reports next."""
    counted_lost: frozenset[MachineId] = frozenset()
    changes: list[Change] = field(default_factory=list)
    """What a planner that follows has still to be told."""

    @property
    def snapshot(self) -> Snapshot:
        return self.fold.snapshot

    # People.

    def submit(self, name: str, text: str, desired: Desired = Desired.LAUNCHED, image: str = "") -> None:
        content_hash = mapper.content_hash(text)
        self.commit(
            [
                Put(key=keys.file(content_hash), value=mapper.file_value(text)),
                Put(key=keys.unit(name), value=mapper.unit_value(content_hash, desired, 1, image)),
            ]
        )

    def want(self, name: str, desired: Desired) -> None:
        unit = self.snapshot.units.get(UnitName(name))
        if unit:
            self.commit([Put(key=keys.unit(name), value=mapper.unit_value(unit.content_hash, desired, 1))])

    def destroy(self, name: str) -> None:
        self.commit([Delete(key=keys.unit(name))])

    def operate(
        self, number: int, *, cordoned: bool = False, draining: bool = False, at_once: int = 1, **metadata: str
    ) -> None:
        record = mapper.OperatorRecord(cordoned=cordoned, draining=draining, at_once=at_once, metadata=dict(metadata))
        self.commit([Put(key=keys.operator(machine_id(number)), value=mapper.encode(record))])

    def rebalance(self, at_once: int = 1) -> None:
        """Ask for what would be planned now."""
        moves = tuple((move.unit, move.source) for move in plan_rebalance(self.snapshot))
        if moves:
            value = mapper.rebalance_value(Rebalance(moves=moves, at_once=at_once))
            self.commit([Put(key=keys.REBALANCE, value=value)])

    # Machines.

    def up(self, number: int, *, memory: int | None = None, cores: float | None = None, **metadata: str) -> None:
        """The machine is listed; what ran there while it was cut off still runs."""
        machine = Machine(
            id=machine_id(number),
            name=f"w{number}",
            address="",
            incarnation=str(self.revision),
            metadata=metadata,
            memory=memory,
            cores=cores,
        )
        self.running.setdefault(machine.id, set())
        self.commit([Put(key=keys.machine(machine.id), value=mapper.machine_value(machine))])

    def gone(self, number: int, *, power: bool = False) -> None:
        """The machine's lease ends; with `power` it runs on, unseen."""
        machine = machine_id(number)
        ops: list[Op] = [Delete(key=keys.machine(machine))]
        ops += [Delete(key=key) for key in self.items if key.startswith(keys.states_of(machine))]
        self.commit(ops)
        self.obeyed.pop(machine, None)
        if not power:
            self.running.pop(machine, None)

    def act(self, number: int) -> bool:
        """The machine's agent does all that its placements ask for; returns whether there was anything to do."""
        self.obey(number)
        return self.report(number)

    def obey(self, number: int) -> None:
        """Start and stop as the placements say, and remember as what."""
        machine = machine_id(number)
        if machine not in self.snapshot.machines:
            return
        mine = {unit: each for (where, unit), each in self.snapshot.placements.items() if where == machine}
        self.running[machine] = {unit for unit, placement in mine.items() if not placement.withdraw}
        self.obeyed[machine] = mine

    def report(self, number: int) -> bool:
        """Say what came of it."""
        machine = machine_id(number)
        if machine not in self.snapshot.machines:
            return False
        mine = self.obeyed.get(machine, {})
        ops: list[Op] = [op for _, placement in sorted(mine.items()) for op in self._reported(placement)]
        stale = [key for key in self.items if key.startswith(keys.states_of(machine))]
        ops += [Delete(key=key) for key in stale if key.rpartition("/")[2] not in mine]
        self.commit(ops)
        return bool(ops)

    def _reported(self, placement: Placement) -> list[Op]:
        load, active = ("not-found", "inactive") if placement.withdraw else ("loaded", "active")
        state = UnitState(
            unit=placement.unit,
            machine=placement.machine,
            load=load,
            active=active,
            sub="",
            content_hash=placement.content_hash,
            placement_revision=placement.revision,
        )
        key, value = keys.state(placement.machine, placement.unit), mapper.state_value(state)
        return [] if key in self.items and self.items[key].value == value else [Put(key=key, value=value)]

    # The store.

    def commit(self, ops: Sequence[Op], guards: Iterable[Guard] = (), *, judged: bool = False) -> bool:
        """Apply `ops` at one revision if the guards hold."""
        if not all(self._holds(guard) for guard in guards):
            return False
        if not ops:
            return True
        assert len({op.key for op in ops}) == len(ops), f"one key twice in a transaction: {ops}"
        self.revision += 1
        before = dict(self.snapshot.placements)
        for op in ops:
            self._apply(op)
        self.fold.revision = self.revision
        if judged:
            self._judge(before)
        return True

    def _holds(self, guard: Guard) -> bool:
        assert isinstance(guard, ModIs)
        item = self.items.get(guard.key)
        return (item.mod_revision if item else 0) == guard.revision

    def _apply(self, op: Op) -> None:
        old = self.items.pop(op.key, None)
        if isinstance(op, Put):
            created = old.create_revision if old else self.revision
            new = KeyValue(key=op.key, value=op.value, create_revision=created, mod_revision=self.revision)
            self.items[op.key] = new
            self.changes += self.fold.apply(op.key, new)
        elif old:
            self.changes += self.fold.apply(op.key, None)

    # The judges.

    def _judge(self, before: dict[tuple[MachineId, UnitName], Placement]) -> None:
        after = self.snapshot.placements
        for seat in before.keys() - after.keys():
            self._judge_removal(before[seat])
        for seat, placement in after.items():
            old = before.get(seat)
            if old is None or (old.withdraw and not placement.withdraw) or old.content_hash != placement.content_hash:
                is_new = old is None or (old.withdraw and not old.moved_by)
                self._judge_placement(placement, is_new=is_new)
            elif placement.withdraw and not old.withdraw:
                self._judge_withdrawal(placement)
                self._judge_move(placement, before)
        self.judge_uniqueness()

    def _judge_placement(self, placement: Placement, *, is_new: bool) -> None:
        """Invariant 2, and that it is what people want now. A cordon keeps out what is new."""
        unit = self.snapshot.units.get(placement.unit)
        assert unit is not None, f"placed, and it was destroyed: {placement}"
        assert unit.desired is not Desired.INACTIVE, f"placed, and nobody wants it: {placement}"
        assert unit.content_hash == placement.content_hash, f"placed with old content: {placement}"
        section = self.section(placement.unit, placement.content_hash)
        problem = self._machine_problem(section, placement.machine, cordon=is_new)
        problem = problem or self._company_problem(placement.unit, placement.content_hash, placement.machine)
        assert not problem, f"placed against the rules: {problem}"

    def judge_uniqueness(self) -> None:
        """Invariant 1."""
        seats: dict[UnitName, list[MachineId]] = {}
        for (machine, unit), placement in self.snapshot.placements.items():
            if not self.section(unit, placement.content_hash).is_global:
                seats.setdefault(unit, []).append(machine)
        assert all(len(machines) == 1 for machines in seats.values()), f"placed twice: {seats}"

    def _judge_withdrawal(self, placement: Placement) -> None:
        """Those that go with a unit leave first."""
        for (machine, name), other in self.snapshot.placements.items():
            if machine == placement.machine:
                peers = self.section(name, other.content_hash).machine_of
                assert placement.unit not in peers, f"{name} is still there, and {placement.unit} is asked to leave"

    def _judge_move(self, placement: Placement, before: dict[tuple[MachineId, UnitName], Placement]) -> None:
        """What a drain or rebalance moves has a place to go, stays in the limit, and was asked for."""
        if not placement.moved_by:
            return
        unit = self.snapshot.units[placement.unit]
        assert not self.section(unit.name, unit.content_hash).is_global, f"a global unit leaves: {placement}"
        there = self.snapshot.machines[placement.machine]
        asked = self.snapshot.rebalance
        is_drain = placement.moved_by.startswith("drain ")
        assert there.draining if is_drain else asked, f"nobody asked for {placement.moved_by}: {placement}"
        together = self.moving(placement.moved_by)
        limit = there.at_once if is_drain else asked.at_once if asked else 0
        # What goes with another unit, or will with its new content, may follow that to where it is only to be.
        grouped = bool(self.section(unit.name, unit.content_hash).machine_of) or any(
            self.section(name, self.snapshot.placements[machine, name].content_hash).machine_of
            for machine, name in self.snapshot.placements
            if machine == placement.machine
        )
        assert len(together) <= limit or grouped, f"more than {limit} at once: {together}"
        others = self.snapshot.machines.keys() - {placement.machine}
        assert grouped or any(self.problem(unit, other) is None for other in others), f"nowhere to go: {placement}"

    def moving(self, mark: str) -> list[UnitName]:
        """Units that the drain or rebalance has taken away and that do not run at their new place yet.

        What is on a machine that failed meanwhile and came back may not have been counted while it was away.
        """
        found = []
        for (machine, name), placement in self.snapshot.placements.items():
            if placement.moved_by == mark and machine in self.snapshot.machines:
                state = self.snapshot.states.get((machine, name))
                silent = state is None or state.placement_revision != placement.revision
                came_back = self.snapshot.machines[machine].revision > placement.revision
                if (placement.withdraw or silent) and not came_back:
                    found.append(name)
        return found

    def _judge_removal(self, placement: Placement) -> None:
        """Invariants 3 and 10."""
        unit = self.snapshot.units.get(placement.unit)
        if placement.machine not in self.snapshot.machines:
            still_global = unit and self.section(unit.name, unit.content_hash).is_global
            is_global = self.section(placement.unit, placement.content_hash).is_global
            wanted = unit and unit.desired is not Desired.INACTIVE
            assert not (is_global and still_global and wanted), f"removed for a lease that ended: {placement}"
            assert placement.machine in self.counted_lost, f"taken from a machine that is waited for: {placement}"
        else:
            assert placement.withdraw, f"taken from a live machine without asking: {placement}"
            assert placement.unit not in self.running[placement.machine], f"taken while it runs: {placement}"

    def problem(self, unit: Unit, machine: MachineId) -> str | None:
        """Why `unit` may not be on `machine` beside all others placed there."""
        if self._goes_with_itself(unit):
            return f"{unit.name} goes, by MachineOf=, with itself"
        section = self.section(unit.name, unit.content_hash)
        return self._machine_problem(section, machine) or self._company_problem(unit.name, unit.content_hash, machine)

    def _goes_with_itself(self, unit: Unit) -> bool:
        """By what is submitted, whatever is placed."""
        reached: set[UnitName] = set()
        ahead = [unit]
        while ahead:
            one = ahead.pop()
            for word in self.section(one.name, one.content_hash).machine_of:
                peer = UnitName(word)
                if peer not in reached:
                    reached.add(peer)
                    ahead += [self.snapshot.units[peer]] if peer in self.snapshot.units else []
        return unit.name in reached

    def _machine_problem(self, section: FleetSection, machine: MachineId, *, cordon: bool = True) -> str | None:
        there = self.snapshot.machines.get(machine)
        if there is None:
            return f"{machine} is not there"
        if there.cordoned and cordon:
            return f"{there.name} is cordoned"
        if section.machine_id not in (None, machine):
            return f"{there.name} is not {section.machine_id}"
        for key, values in section.metadata.items():
            if there.metadata.get(key) not in values:
                return f"{there.name} has no {key} of {sorted(values)}"
        return None

    def _company_problem(self, unit: UnitName, content_hash: str, machine: MachineId) -> str | None:
        section = self.section(unit, content_hash)
        overcommitted = self._room_problem(unit, content_hash, machine)
        if overcommitted:
            return overcommitted
        others = {
            name: self.section(name, each.content_hash)
            for (where, name), each in self.snapshot.placements.items()
            if where == machine and name != unit
        }
        for peer in section.machine_of:
            if UnitName(peer) not in others:
                return f"{peer} is not there"
        for name, other in others.items():
            if any(fnmatchcase(name, glob) for glob in (*section.conflicts, *section.replaces)):
                return f"{unit} conflicts with {name}"
            if any(fnmatchcase(unit, glob) for glob in (*other.conflicts, *other.replaces)):
                return f"{name} conflicts with {unit}"
        return None

    def _room_problem(self, unit: UnitName, content_hash: str, machine: MachineId) -> str | None:
        """Never more than there is, of what the unit asks for."""
        there = self.snapshot.machines[machine]
        on = {name: each.content_hash for (where, name), each in self.snapshot.placements.items() if where == machine}
        on[unit] = content_hash
        memory, cpu = self.needs(unit, content_hash)
        taken = [self.needs(name, each) for name, each in on.items()]
        if memory and there.memory is not None and sum(each[0] for each in taken) > there.memory:
            return f"{there.name} has not the memory for {unit}"
        if cpu and there.cores is not None and sum(each[1] for each in taken) > there.cores * 1000:
            return f"{there.name} has not the cores for {unit}"
        return None

    def needs(self, unit: UnitName, content_hash: str) -> tuple[int, int]:
        return needs(parse(self.snapshot.files[content_hash].text), self.section(unit, content_hash))

    def section(self, unit: UnitName, content_hash: str) -> FleetSection:
        return fleet_section(parse(self.snapshot.files[content_hash].text), parse_name(unit))

    def absent_holders(self) -> frozenset[MachineId]:
        return frozenset(machine for machine, _ in self.snapshot.placements if machine not in self.snapshot.machines)

    def homeless(self) -> list[Unit]:
        """Wanted units that are not global and are on no live machine."""
        placed = {unit for machine, unit in self.snapshot.placements if machine in self.snapshot.machines}
        return [
            unit
            for name, unit in sorted(self.snapshot.units.items())
            if unit.desired is not Desired.INACTIVE
            and name not in placed
            and not unit.is_template
            and not self.section(name, unit.content_hash).is_global
        ]
