"""What people want of units, written to the store; every change is one guarded transaction.

Promises: a unit's record and its file's content are written together; the file is written again by each submit, so that
a collection of unused files that runs at the same time fails (its guard is the file's revision); a write based on what
somebody else has changed meanwhile is tried again or refused, never half done.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Final

from inaetics.errors import Conflict, NotFound
from inaetics.fleet import keys, mapper
from inaetics.fleet.model import Desired, Unit, UnitName
from inaetics.fleet.submission import check_desired, check_submission
from inaetics.store.protocol import Delete, Guard, KeyValue, ModIs, Op, Put, Store

_ATTEMPTS: Final = 5
"""How often a write is decided anew when somebody else writes the same unit at the same moment."""


class Registry:
    """Writes units. Each method returns once the store has it; raises InvalidInput, NotFound, Conflict, Unavailable."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def submit(self, name: str, text: str, *, desired: Desired | None = None, replace: bool = False) -> Unit:
        """Make `name` known with this content; `desired` is set with it (None: kept, or inactive for a new unit).

        Idempotent. Raises Conflict when other content exists under the name, unless `replace`; UnitFileError or
        InvalidInput when the unit would be refused. The unit's `revision` is that of the write.
        """
        check_submission(name, text)
        check_desired(name, desired)
        content_hash = mapper.content_hash(text)
        for _ in range(_ATTEMPTS):
            old = await self._read(name)
            if old and old.content_hash != content_hash and not replace:
                raise _exists(name)
            new = _next(old, name=name, text=text, content_hash=content_hash, desired=desired)
            revision = await self._try_put(old, new, Put(key=keys.file(content_hash), value=mapper.file_value(text)))
            if revision is not None:
                return dataclasses.replace(new, revision=revision)
        raise _busy(name)

    async def set_desired(self, name: str, desired: Desired) -> int:
        """Say what is wanted of a submitted unit; returns the revision at which it is so. Idempotent."""
        check_desired(name, desired)
        for _ in range(_ATTEMPTS):
            old = await self._read(name)
            if not old:
                raise _unknown(name)
            if old.desired == desired:
                return old.revision
            new = _next(old, name=name, text="", content_hash=old.content_hash, desired=desired)
            revision = await self._try_put(old, new)
            if revision is not None:
                return revision
        raise _busy(name)

    async def destroy(self, name: str) -> int:
        """Forget the unit; the engine stops it where it runs. Returns the revision. Raises NotFound."""
        for _ in range(_ATTEMPTS):
            old = await self._read(name)
            if not old:
                raise _unknown(name)
            revision = await self._try(
                [Delete(key=keys.unit(name))], [ModIs(key=keys.unit(name), revision=old.revision)]
            )
            if revision is not None:
                return revision
        raise _busy(name)

    async def _read(self, name: str) -> Unit | None:
        item: KeyValue | None = await self._store.get(keys.unit(name))
        return mapper.unit(UnitName(name), item) if item else None

    async def _try_put(self, old: Unit | None, new: Unit, *beside: Op) -> int | None:
        value = mapper.unit_value(new.content_hash, new.desired, new.generation)
        guard = ModIs(key=keys.unit(new.name), revision=old.revision if old else 0)
        return await self._try([*beside, Put(key=keys.unit(new.name), value=value)], [guard])

    async def _try(self, ops: Sequence[Op], guards: Sequence[Guard]) -> int | None:
        """Commit; None when somebody else was quicker and it must be decided anew."""
        try:
            return await self._store.commit(ops, guards=guards)
        except Conflict:
            return None


def _next(old: Unit | None, *, name: str, text: str, content_hash: str, desired: Desired | None) -> Unit:
    return Unit(
        name=UnitName(name),
        text=text,
        content_hash=content_hash,
        desired=desired or (old.desired if old else Desired.INACTIVE),
        generation=old.generation + 1 if old else 1,
        revision=0,
    )


def _exists(name: str) -> Conflict:
    return Conflict(
        f"cannot submit '{name}': other content exists under that name "
        f"(take the new one: fleetctl submit --replace; or give the old one up: fleetctl destroy {name})"
    )


def _unknown(name: str) -> NotFound:
    return NotFound(f"no unit '{name}' is submitted (what there is: fleetctl list-unit-files)")


def _busy(name: str) -> Conflict:
    return Conflict(f"cannot change '{name}': somebody else changes it at the same time (see: fleetctl status {name})")
