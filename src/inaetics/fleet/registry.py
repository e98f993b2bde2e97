"""What people want of units, written to the store; every change is one guarded transaction.

Promises: a unit's record and its file's content are written together; the file is written again by each submit, so that
a collection of unused files that runs at the same time fails (its guard is the file's revision); a write based on what
somebody else has changed meanwhile is tried again or refused, never half done.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Final

from inaetics.errors import Conflict, InaeticsError, NotFound
from inaetics.fleet import keys, mapper
from inaetics.fleet.batch import (
    Change,
    Result,
    Wish,
    check_shape,
    decide,
    exists,
    following,
    packed,
    parts,
    refusal,
    unknown,
)
from inaetics.fleet.image_tags import ImageKeeper, NoTags, Tags
from inaetics.fleet.model import Desired, Unit, UnitName
from inaetics.fleet.submission import check_desired, check_submission
from inaetics.store.protocol import Delete, Guard, KeyValue, ModIs, Op, Put, Store

_ATTEMPTS: Final = 5
"""How often a write is decided anew when somebody else writes the same unit at the same moment."""

_FEW: Final = 10
"""So many units are read one by one; more are looked for in a listing of all."""


class Registry:
    """Writes units. Each method returns once the store has it; raises InvalidInput, NotFound, Conflict, Unavailable."""

    def __init__(self, store: Store, tags: Tags | None = None) -> None:
        """`tags` says which digest a unit that is first to run keeps of its image's tag."""
        self._store = store
        self._images = ImageKeeper(store, tags or NoTags())

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
                raise exists(name)
            new = following(old, name=name, content=(content_hash, text), desired=desired)
            new = await self._with_image(old, new, {content_hash: text})
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
                raise unknown(name)
            if old.desired == desired:
                return old.revision
            new = await self._with_image(old, following(old, name=name, content=None, desired=desired), {})
            revision = await self._try_put(old, new)
            if revision is not None:
                return revision
        raise _busy(name)

    async def destroy(self, name: str) -> int:
        """Forget the unit; the engine stops it where it runs. Returns the revision. Raises NotFound."""
        for _ in range(_ATTEMPTS):
            old = await self._read(name)
            if not old:
                raise unknown(name)
            revision = await self._try(
                [Delete(key=keys.unit(name))], [ModIs(key=keys.unit(name), revision=old.revision)]
            )
            if revision is not None:
                return revision
        raise _busy(name)

    async def submit_many(self, wishes: Sequence[Wish]) -> list[Result]:
        """Do all of `wishes`, in as few transactions as etcd takes; returns what became of each, in their order.

        Everything is checked before anything is written: where one wish cannot be done, one error names all of those
        (of the first one's kind) and nothing is changed. A unit that somebody else changes meanwhile is decided anew
        by itself, and has its own error if it comes to that. Idempotent, but for units to be destroyed.
        """
        check_shape(wishes)
        texts = await self._texts(wishes)
        changes = await self._decide(wishes, texts)
        results: dict[str, Result] = {}
        written: dict[str, int] = {}
        for part in parts(changes, texts):
            ops, guards = packed(part, texts, written)
            revision = await self._try(ops, guards)
            if revision is None:
                for change in part:
                    results[change.wish.name] = await self._alone(change.wish, texts)
                continue
            for change in part:
                results[change.wish.name] = _result(change, revision)
                if change.file is not None:
                    written.setdefault(change.file, revision)
        return [results[wish.name] for wish in wishes]

    async def _decide(self, wishes: Sequence[Wish], texts: Mapping[str, str]) -> list[Change]:
        """Check every wish against its file and against what is stored."""
        stored = await self._read_many([wish.name for wish in wishes])
        changes: list[Change] = []
        errors: list[InaeticsError] = []
        for wish in wishes:
            try:
                check_desired(wish.name, wish.desired)
                if wish.submits:
                    check_submission(wish.name, texts[_hash_of(wish)])
                change = decide(wish, stored.get(wish.name), texts)
                if change.new:
                    new = await self._with_image(change.old, change.new, texts)
                    change = dataclasses.replace(change, new=new)
                changes.append(change)
            except InaeticsError as error:
                errors.append(error)
        if errors:
            raise refusal(errors, of=len(wishes))
        return changes

    async def _alone(self, wish: Wish, texts: Mapping[str, str]) -> Result:
        """Do one wish whose ground has changed since it was decided."""
        try:
            if wish.destroy:
                revision = await self.destroy(wish.name)
            elif wish.submits:
                text = texts[_hash_of(wish)]
                unit = await self.submit(wish.name, text, desired=wish.desired, replace=wish.replace)
                revision = unit.revision
            else:
                assert wish.desired is not None, "check_shape lets through only wishes that ask for something"
                revision = await self.set_desired(wish.name, wish.desired)
        except (Conflict, NotFound) as error:
            return Result(name=wish.name, error=error)
        return Result(name=wish.name, revision=revision, changed=True)

    async def _texts(self, wishes: Sequence[Wish]) -> dict[str, str]:
        """The files of `wishes` by hash; those that are named only are read. Raises NotFound."""
        texts = {mapper.content_hash(text): text for text in {wish.text for wish in wishes} if text is not None}
        for wish in wishes:
            if wish.content_hash is not None and wish.content_hash not in texts:
                item = await self._store.get(keys.file(wish.content_hash))
                if item is None:
                    raise NotFound(
                        f"cannot submit '{wish.name}': no file {wish.content_hash!r} is stored (give its text)"
                    )
                texts[wish.content_hash] = mapper.file(item).text
        return texts

    async def _read_many(self, names: Sequence[str]) -> dict[str, Unit]:
        if len(names) <= _FEW:
            found = [await self._read(name) for name in names]
            return {unit.name: unit for unit in found if unit}
        wanted, units = set(names), {}
        for item in (await self._store.list(keys.UNITS)).items:
            name = UnitName(item.key.removeprefix(keys.UNITS))
            if name in wanted:
                units[str(name)] = mapper.unit(name, item)
        return units

    async def _read(self, name: str) -> Unit | None:
        item: KeyValue | None = await self._store.get(keys.unit(name))
        return mapper.unit(UnitName(name), item) if item else None

    async def _with_image(self, old: Unit | None, new: Unit, texts: Mapping[str, str]) -> Unit:
        image = await self._images.digest(old, new, texts)
        return new if image == new.image else dataclasses.replace(new, image=image)

    async def _try_put(self, old: Unit | None, new: Unit, *beside: Op) -> int | None:
        value = mapper.unit_value(new.content_hash, new.desired, new.generation, new.image)
        guard = ModIs(key=keys.unit(new.name), revision=old.revision if old else 0)
        return await self._try([*beside, Put(key=keys.unit(new.name), value=value)], [guard])

    async def _try(self, ops: Sequence[Op], guards: Sequence[Guard]) -> int | None:
        """Commit; None when somebody else was quicker and it must be decided anew."""
        try:
            return await self._store.commit(ops, guards=guards)
        except Conflict:
            return None


def _result(change: Change, revision: int) -> Result:
    kept = change.old.revision if change.old else 0
    return Result(name=change.wish.name, revision=revision if change.writes else kept, changed=change.writes)


def _hash_of(wish: Wish) -> str:
    return wish.content_hash or mapper.content_hash(wish.text or "")


def _busy(name: str) -> Conflict:
    return Conflict(f"cannot change '{name}': somebody else changes it at the same time (see: fleetctl status {name})")
