"""Folds the store's events into the fleet's values, one event at constant cost. Pure.

Promises: after every event of a revision was applied, `snapshot` is exactly what the store held at that revision,
whatever the order of the events within it; a record that cannot be read counts as absent and is named in `unreadable`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeVar

from inaetics.errors import InvalidInput
from inaetics.fleet import keys, mapper, rollout_record
from inaetics.fleet.model import File, Machine, MachineId, Placement, Rebalance, Snapshot, Unit, UnitName, UnitState
from inaetics.fleet.rollout import Rollout
from inaetics.store.protocol import KeyValue


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitChanged:
    """A unit was submitted (`old` is None), changed or destroyed (`new` is None)."""

    name: UnitName
    old: Unit | None
    new: Unit | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineChanged:
    """A machine came (`old` is None), changed or went (`new` is None)."""

    id: MachineId
    old: Machine | None
    new: Machine | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementChanged:
    """A unit was placed on a machine (`old` is None), its placement changed or was removed (`new` is None)."""

    machine: MachineId
    unit: UnitName
    old: Placement | None
    new: Placement | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChanged:
    """A machine reports of a unit for the first time (`old` is None), something else, or no more (`new` is None)."""

    machine: MachineId
    unit: UnitName
    old: UnitState | None
    new: UnitState | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RebalanceChanged:
    """People asked for something to be evened out, or it is done (`new` is None)."""

    old: Rebalance | None
    new: Rebalance | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutChanged:
    """A rollout began (`old` is None), came on, or is forgotten (`new` is None)."""

    id: str
    old: Rollout | None
    new: Rollout | None


Change = UnitChanged | MachineChanged | PlacementChanged | StateChanged | RebalanceChanged | RolloutChanged


@dataclass(slots=True)
class Fold:
    """What the store holds under the fleet's prefix, as values. `apply` is the only way in."""

    revision: int = 0
    ledger_revision: int = 0
    files: dict[str, File] = field(default_factory=dict)
    units: dict[UnitName, Unit] = field(default_factory=dict)
    machines: dict[MachineId, Machine] = field(default_factory=dict)
    placements: dict[tuple[MachineId, UnitName], Placement] = field(default_factory=dict)
    states: dict[tuple[MachineId, UnitName], UnitState] = field(default_factory=dict)
    rebalances: dict[str, Rebalance] = field(default_factory=dict)
    rollouts: dict[str, Rollout] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    """Key → why, for people."""
    _raw_machines: dict[MachineId, tuple[mapper.MachineRecord, int, int]] = field(default_factory=dict)
    _operators: dict[MachineId, tuple[mapper.OperatorRecord, int]] = field(default_factory=dict)
    _textless: dict[str, set[UnitName]] = field(default_factory=dict)

    @property
    def snapshot(self) -> Snapshot:
        """A live view of all of it."""
        return Snapshot(
            revision=self.revision,
            files=self.files,
            units=self.units,
            machines=self.machines,
            placements=self.placements,
            states=self.states,
            rebalances=self.rebalances,
            rollouts=self.rollouts,
        )

    def apply(self, key: str, item: KeyValue | None) -> Iterator[Change]:
        """Take in that `key` now holds `item` (None: was deleted); yields what this changed."""
        self.unreadable.pop(key, None)
        kind, _, rest = key.removeprefix(keys.PREFIX).partition("/")
        try:
            yield from self._apply(kind, rest, item)
        except InvalidInput as error:
            self.unreadable[key] = str(error)
            yield from self._apply(kind, rest, None)

    def _apply(self, kind: str, rest: str, item: KeyValue | None) -> Iterable[Change]:
        match kind:
            case "states":
                return self._state(keys.on_machine(rest), item)
            case "placements":
                return self._placement(keys.on_machine(rest), item)
            case "units":
                return self._unit(UnitName(rest), item)
            case "files":
                return self._file(rest, item)
            case "machines" | "operator":
                return self._machine(kind, MachineId(rest), item)
            case "rollouts":
                return self._rollout(rest, item)
            case "rebalance":
                return self._rebalance(item)
            case "scale":
                pass  # the API reads it when it is asked
            case "ledger":
                self.ledger_revision = item.mod_revision if item else 0
            case _:
                pass  # a key of another version
        return ()

    def _state(self, key: tuple[MachineId, UnitName], item: KeyValue | None) -> Iterable[Change]:
        new = mapper.state(key, item) if item else None
        old = _put(self.states, key, new)
        return (StateChanged(machine=key[0], unit=key[1], old=old, new=new),)

    def _placement(self, key: tuple[MachineId, UnitName], item: KeyValue | None) -> Iterable[Change]:
        new = mapper.placement(key, item) if item else None
        old = _put(self.placements, key, new)
        return (PlacementChanged(machine=key[0], unit=key[1], old=old, new=new),)

    def _rollout(self, rollout_id: str, item: KeyValue | None) -> Iterable[Change]:
        new = rollout_record.rollout(item) if item else None
        old = _put(self.rollouts, rollout_id, new)
        return (RolloutChanged(id=rollout_id, old=old, new=new),)

    def _rebalance(self, item: KeyValue | None) -> Iterable[Change]:
        new = mapper.rebalance(item) if item else None
        old = _put(self.rebalances, "", new)
        return (RebalanceChanged(old=old, new=new),)

    def _unit(self, name: UnitName, item: KeyValue | None) -> Iterable[Change]:
        new = mapper.unit(name, item) if item else None
        if new:
            file = self.files.get(new.content_hash)
            if file:
                new = replace(new, text=file.text)
            else:
                self._textless.setdefault(new.content_hash, set()).add(name)
        old = _put(self.units, name, new)
        return (UnitChanged(name=name, old=old, new=new),)

    def _file(self, content_hash: str, item: KeyValue | None) -> Iterable[Change]:
        new = mapper.file(item) if item else None
        _put(self.files, content_hash, new)
        if not new:
            return ()
        return [
            change for name in self._textless.pop(content_hash, ()) for change in self._with_text(name, content_hash)
        ]

    def _with_text(self, name: UnitName, content_hash: str) -> Iterable[Change]:
        old = self.units.get(name)
        if not old or old.content_hash != content_hash:
            return
        new = self.units[name] = replace(old, text=self.files[content_hash].text)
        yield UnitChanged(name=name, old=old, new=new)

    def _machine(self, kind: str, machine_id: MachineId, item: KeyValue | None) -> Iterable[Change]:
        if kind == "machines":
            record = (mapper.decode(item, mapper.MachineRecord), item.mod_revision, item.lease) if item else None
            _put(self._raw_machines, machine_id, record)
        else:
            words = (mapper.decode(item, mapper.OperatorRecord), item.mod_revision) if item else None
            _put(self._operators, machine_id, words)
        raw = self._raw_machines.get(machine_id)
        said = self._operators.get(machine_id, (mapper.OperatorRecord(), 0))
        new = mapper.machine(machine_id, *raw, *said) if raw else None
        old = _put(self.machines, machine_id, new)
        if old or new:
            yield MachineChanged(id=machine_id, old=old, new=new)


K = TypeVar("K")
V = TypeVar("V")


def _put(where: dict[K, V], key: K, value: V | None) -> V | None:
    """Set or, for None, remove; returns what was there."""
    if value is None:
        return where.pop(key, None)
    old = where.get(key)
    where[key] = value
    return old
