"""What people say about machines, written to the store: metadata, cordons, drains, that one will not come back.

Promises: a change is made to what the record holds at that moment, so two people who speak at once are both heard; what
is said outlives the machine's restarts; forgetting a machine that is there is refused by the store itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from inaetics.errors import Conflict, InvalidInput
from inaetics.fleet import keys, mapper
from inaetics.fleet.model import MachineId, Rebalance, UnitName
from inaetics.store.protocol import Delete, Guard, ModIs, Op, Put, Store

_ATTEMPTS: Final = 5
_AT_MOST: Final = 100
"""Machines in one change: it is one transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A change of what is said of one machine; None leaves things as they are.

    A metadata value of None takes the key away, also when the machine itself says it.
    """

    metadata: Mapping[str, str | None] = field(default_factory=dict)
    cordoned: bool | None = None
    draining: bool | None = None
    at_once: int | None = None


class Operators:
    """Writes what people say. Each method returns the revision; raises Conflict, InvalidInput, Unavailable."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def spoken_of(self) -> list[MachineId]:
        """Every machine of which anything is said, there or not."""
        listing = await self._store.list(keys.OPERATOR)
        return [MachineId(item.key.removeprefix(keys.OPERATOR)) for item in listing.items]

    async def say(self, words: Mapping[MachineId, Words]) -> int:
        """Make the changes together."""
        if len(words) > _AT_MOST:
            raise InvalidInput(f"cannot change {len(words)} machines at once: at most {_AT_MOST} (split the request)")
        for _ in range(_ATTEMPTS):
            ops: list[Op] = []
            guards: list[Guard] = []
            for machine, change in sorted(words.items()):
                item = await self._store.get(keys.operator(machine))
                old = mapper.operator(item) if item else mapper.OperatorRecord()
                ops.append(Put(key=keys.operator(machine), value=mapper.encode(_changed(old, change))))
                guards.append(ModIs(key=keys.operator(machine), revision=item.mod_revision if item else 0))
            try:
                return await self._store.commit(ops, guards=guards)
            except Conflict:
                continue
        raise Conflict("cannot change what is said of the machines: somebody else changes it all the time (try again)")

    async def forget(self, machine: MachineId) -> int:
        """Forget a machine that has left: its placements, global ones too, and what was said of it. Idempotent.

        Raises Conflict when the machine is there, even if it came back just now.
        """
        ops: list[Op] = [
            Delete(key=keys.placements_of(machine), prefix=True),
            Delete(key=keys.operator(machine)),
        ]
        try:
            return await self._store.commit(ops, guards=[ModIs(key=keys.machine(machine), revision=0)])
        except Conflict as error:
            raise Conflict(
                f"cannot forget machine {machine[:8]}: it is there (empty it first: fleetctl drain; then shut it down)"
            ) from error

    async def rebalance(self, moves: Sequence[tuple[UnitName, MachineId]], *, at_once: int) -> int:
        """Ask the engine for `moves`, in this order; takes the place of what was asked for before."""
        value = mapper.rebalance_value(Rebalance(moves=tuple(moves), at_once=at_once))
        return await self._store.put(keys.REBALANCE, value)


def _changed(old: mapper.OperatorRecord, change: Words) -> mapper.OperatorRecord:
    return msgspec.structs.replace(
        old,
        metadata={**old.metadata, **change.metadata},
        cordoned=old.cordoned if change.cordoned is None else change.cordoned,
        draining=old.draining if change.draining is None else change.draining,
        at_once=old.at_once if change.at_once is None else change.at_once,
    )
