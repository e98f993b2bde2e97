"""Turns decisions into guarded transactions. Pure: it only says what to commit.

Promises: each transaction leaves a valid state, since it holds the next actions of a plan, whole and in order; it fails
as a whole when anything changed that its actions were decided from: the unit, the machine, what people say of it, or
the report of the machine that gave the unit up. (Who commits adds the leader's guard and the ledger's.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from inaetics.fleet import keys, mapper
from inaetics.fleet.actions import Action, Move, Place, Remove, Update, Withdraw
from inaetics.fleet.model import MachineId, Placement, Snapshot, Unit, UnitName
from inaetics.fleet.transit import REBALANCE, is_under_way
from inaetics.store.protocol import MAX_GUARDS, MAX_OPS, Delete, Guard, ModIs, Op, Put

_RESERVED = 2
"""The leader's guard and the ledger's, and the write of the ledger, come to each transaction when it is committed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """Consecutive actions of a plan, with what they write and what must still be true."""

    actions: tuple[Action, ...]
    ops: tuple[Op, ...]
    guards: tuple[Guard, ...]


def transactions(actions: Sequence[Action], snapshot: Snapshot, *, now: float) -> Iterator[Transaction]:
    """Pack `actions`, decided from `snapshot`, into as few transactions as etcd takes; `now` is in Unix seconds."""
    packed: list[Action] = []
    ops: list[Op] = []
    guards: dict[str, Guard] = {}
    for action in actions:
        more_ops = list(_ops(action, snapshot, now))
        more_guards = {guard.key: guard for guard in _guards(action, snapshot)}
        full = len(ops) + len(more_ops) > MAX_OPS - _RESERVED or len(guards | more_guards) > MAX_GUARDS - _RESERVED
        if packed and full:
            yield Transaction(actions=tuple(packed), ops=tuple(ops), guards=tuple(guards.values()))
            packed, ops, guards = [], [], {}
        packed.append(action)
        ops += more_ops
        guards |= more_guards
    if packed:
        yield Transaction(actions=tuple(packed), ops=tuple(ops), guards=tuple(guards.values()))


def _ops(action: Action, snapshot: Snapshot, now: float) -> Iterator[Op]:
    match action:
        case Place():
            yield _put(_new(action.unit, action.machine, action.reason, snapshot, now))
        case Update():
            yield _put(
                replace(
                    action.placement,
                    content_hash=action.content_hash,
                    image=_image(action),
                    desired=action.unit.desired,
                    reason=action.reason,
                    since=now if action.placement.withdraw else action.placement.since,
                    withdraw=False,
                    moved_by=_still_moved_by(action.placement, snapshot),
                )
            )
        case Withdraw():
            yield _put(replace(action.placement, reason=action.reason, withdraw=True, moved_by=action.moved_by))
        case Remove():
            yield _delete(action.placement)
        case Move():
            yield _delete(action.placement)
            new = _new(action.unit, action.machine, action.reason, snapshot, now)
            yield _put(replace(new, moved_by=action.placement.moved_by if action.state else ""))


def _image(action: Update) -> str:
    """The unit's, unless the placement keeps its old content: then also the image of that."""
    return action.unit.image if action.content_hash == action.unit.content_hash else action.placement.image


def _still_moved_by(placement: Placement, snapshot: Snapshot) -> str:
    """A unit that has arrived is not under way again because its placement changes; one that is, stays so."""
    return "" if placement.withdraw or not is_under_way(snapshot, placement) else placement.moved_by


def _guards(action: Action, snapshot: Snapshot) -> Iterator[Guard]:
    yield ModIs(key=keys.unit(action.name), revision=action.unit.revision if action.unit else 0)
    match action:
        case Place():
            yield from _machine_guards(action.machine, snapshot)
        case Update():
            yield from _machine_guards(action.placement.machine, snapshot)
        case Withdraw():
            yield from _move_guards(action, snapshot)
        case Remove():
            yield _gone_guard(action)
        case Move():
            yield _gone_guard(action)
            yield from _machine_guards(action.machine, snapshot)


def _move_guards(action: Withdraw, snapshot: Snapshot) -> Iterator[Guard]:
    """What a drain or rebalance is decided from: that people ask for it, and that there is somewhere to go."""
    if action.target is None:
        return
    yield from _machine_guards(action.placement.machine, snapshot)
    yield from _machine_guards(action.target, snapshot)
    if action.moved_by == REBALANCE:
        asked = snapshot.rebalance
        yield ModIs(key=keys.REBALANCE, revision=asked.revision if asked else 0)


def _machine_guards(machine: MachineId, snapshot: Snapshot) -> Iterable[Guard]:
    there = snapshot.machines[machine]
    return (
        ModIs(key=keys.machine(machine), revision=there.revision),
        ModIs(key=keys.operator(machine), revision=there.operator_revision),
    )


def _gone_guard(action: Remove | Move) -> Guard:
    """What says that the unit has left its machine: the machine's report, or that the machine is not there."""
    placement = action.placement
    if action.state is None:
        return ModIs(key=keys.machine(placement.machine), revision=0)
    return ModIs(key=keys.state(placement.machine, placement.unit), revision=action.state.revision)


def _new(unit: Unit, machine: MachineId, reason: str, snapshot: Snapshot, now: float) -> Placement:
    return Placement(
        unit=unit.name,
        machine=machine,
        content_hash=unit.content_hash,
        image=unit.image,
        desired=unit.desired,
        reason=reason,
        since=now,
        machine_name=snapshot.machines[machine].name,
    )


def _put(placement: Placement) -> Put:
    return Put(key=_key(placement.machine, placement.unit), value=mapper.placement_value(placement))


def _delete(placement: Placement) -> Delete:
    return Delete(key=_key(placement.machine, placement.unit))


def _key(machine: MachineId, unit: UnitName) -> str:
    return keys.placement(machine, unit)
