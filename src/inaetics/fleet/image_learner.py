"""Writes down, within a term of office, which image a unit was found to run that nobody could look up before.

Promises: a digest that a unit's record names is never overwritten; each write is guarded by the office and the unit.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from inaetics.errors import Conflict
from inaetics.fleet import keys, mapper
from inaetics.fleet.fold import Change, StateChanged
from inaetics.fleet.images import learnt
from inaetics.fleet.mirror import Mirror
from inaetics.fleet.model import UnitName
from inaetics.store.protocol import Guard, Leadership, ModIs, Put, Store

_log = structlog.get_logger()


class ImageLearner:
    """`hear` what changes, then `step`."""

    def __init__(self, store: Store, mirror: Mirror, leadership: Leadership) -> None:
        self._store = store
        self._mirror = mirror
        self._guard = leadership.guard
        self._told: set[UnitName] = set()

    def hear(self, changes: Sequence[Change] | None) -> None:
        """Note which reports name an image that the unit's record does not; None: look at all of them."""
        units = self._mirror.snapshot.units
        states = (
            self._mirror.snapshot.states.values()
            if changes is None
            else [change.new for change in changes if isinstance(change, StateChanged) and change.new]
        )
        for state in states:
            if state.image and (unit := units.get(state.unit)) and not unit.image:
                self._told.add(state.unit)

    async def step(self) -> None:
        """Write what was heard. Raises Unavailable."""
        while self._told:
            name = min(self._told)
            self._told.discard(name)
            digest = learnt(self._mirror.snapshot, name)
            if not digest:
                continue
            unit = self._mirror.snapshot.units[name]
            value = mapper.unit_value(unit.content_hash, unit.desired, unit.generation + 1, digest)
            guards: list[Guard] = [self._guard, ModIs(key=keys.unit(name), revision=unit.revision)]
            try:
                await self._store.commit([Put(key=keys.unit(name), value=value)], guards=guards)
            except Conflict:
                self._told.add(name)
                return  # somebody changed it: what that makes of it is heard first
            _log.info("image learnt", unit=name, image=digest)
