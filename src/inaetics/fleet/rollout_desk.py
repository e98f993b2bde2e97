"""Begins and cancels rollouts: what people ask, written to the store; the engine's leader does the rest.

Promises: two rollouts of the same units cannot begin, not even at the same moment (each writes a ledger that it read
before); the new content is stored with the rollout; what is kept of ended ones is bounded.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import replace

from inaetics.errors import Conflict, InvalidInput, NotFound
from inaetics.fleet import keys, mapper, rollout_record
from inaetics.fleet.model import Snapshot, UnitName
from inaetics.fleet.rollout import Rollout
from inaetics.fleet.rollout_draft import draft, refuse_second
from inaetics.fleet.rollout_images import Meanings, draft_images
from inaetics.fleet.submission import check_submission
from inaetics.store.protocol import Delete, ModIs, Op, Put, Store

KEPT_PER_TARGET = 20
KEPT = 400
"""Rollouts on record, running ones included: of one unit or template, and of all."""

_ATTEMPTS = 5


class RolloutDesk:
    """Each method raises InvalidInput, NotFound, Conflict or Unavailable, and then nothing was written."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def plan(self, snapshot: Snapshot, name: str, text: str | None, *, at_once: int, by: str) -> tuple[Rollout, str]:
        """Say what an update of `name` to the content `text` would do, and with which text.

        Without `text` it is the one the template was submitted with.
        """
        _check_at_once(at_once)
        target = UnitName(name)
        if text is None:
            text = _submitted(snapshot, target)
        check_submission(name, text)
        made = draft(
            snapshot,
            target,
            mapper.content_hash(text),
            rollout_id=uuid.uuid4().hex[:8],
            at_once=at_once,
            by=by[:200],
            now=time.time(),
            new_text=text,
        )
        return made, text

    def plan_images(
        self, snapshot: Snapshot, asked: Sequence[str], means: Meanings, *, at_once: int, by: str
    ) -> Rollout:
        """Say what an update of images to what their tags mean would do; `asked` as `chosen` takes it."""
        _check_at_once(at_once)
        rollout_id, now = uuid.uuid4().hex[:8], time.time()
        return draft_images(snapshot, asked, means, rollout_id=rollout_id, at_once=at_once, by=by[:200], now=now)

    async def begin(
        self, snapshot: Snapshot, name: str, text: str | None, *, at_once: int, by: str
    ) -> tuple[Rollout, int]:
        """Begin an update; returns it with the revision at which it began."""
        rollout, content = self.plan(snapshot, name, text, at_once=at_once, by=by)
        return await self._begin(rollout, Put(key=keys.file(rollout.new_hash), value=mapper.file_value(content)))

    async def begin_images(
        self, snapshot: Snapshot, asked: Sequence[str], means: Meanings, *, at_once: int, by: str
    ) -> tuple[Rollout, int]:
        """Begin an update of images; returns it with the revision at which it began."""
        return await self._begin(self.plan_images(snapshot, asked, means, at_once=at_once, by=by))

    async def _begin(self, rollout: Rollout, *beside: Op) -> tuple[Rollout, int]:
        ledger = await self._store.get(keys.ROLLOUT_LEDGER)
        on_record = await self.on_record()
        refuse_second(rollout, on_record)
        ops: list[Op] = [
            *beside,
            Put(key=keys.rollout(rollout.id), value=rollout_record.value(rollout)),
            Put(key=keys.ROLLOUT_LEDGER, value=b'{"version":1}'),
            *(Delete(key=keys.rollout(old.id)) for old in surplus(on_record, rollout.target)),
        ]
        unchanged = ModIs(key=keys.ROLLOUT_LEDGER, revision=ledger.mod_revision if ledger else 0)
        try:
            return rollout, await self._store.commit(ops, guards=[unchanged])
        except Conflict as error:
            raise Conflict(
                f"cannot update {rollout.target}: somebody else began an update at the same moment"
                " (see: fleetctl rollouts)"
            ) from error

    async def cancel(self, rollout_id: str, *, by: str) -> int:
        """Have a rollout undone; returns the revision. Raises Conflict for one that has ended."""
        for _ in range(_ATTEMPTS):
            item = await self._store.get(keys.rollout(rollout_id))
            if item is None:
                raise NotFound(f"there is no rollout {rollout_id!r} (what there is: fleetctl rollouts)")
            rollout = rollout_record.rollout(item)
            if not rollout.runs:
                raise Conflict(f"cannot cancel rollout {rollout_id}: it is {rollout.phase} already")
            if rollout.cancelled_by:
                return rollout.revision
            put = Put(key=item.key, value=rollout_record.value(replace(rollout, cancelled_by=by[:200] or "somebody")))
            try:
                return await self._store.commit([put], guards=[ModIs(key=item.key, revision=item.mod_revision)])
            except Conflict:
                continue
        raise Conflict(f"cannot cancel rollout {rollout_id}: it goes on too fast; try again")

    async def on_record(self) -> list[Rollout]:
        """Every rollout in the store."""
        listing = await self._store.list(keys.ROLLOUTS)
        return [rollout_record.rollout(item) for item in listing.items]


def surplus(on_record: Iterable[Rollout], target: UnitName) -> list[Rollout]:
    """Ended rollouts that make room for a new one of `target`, the oldest; at most some of them at once."""
    ended = sorted((each for each in on_record if not each.runs), key=lambda each: (each.started_at, each.id))
    mine = [each for each in ended if each.target == target]
    gone = {each.id: each for each in mine[: max(0, len(mine) - KEPT_PER_TARGET + 1)]}
    rest = [each for each in ended if each.id not in gone]
    gone |= {each.id: each for each in rest[: max(0, len(rest) - KEPT + 1)]}
    return list(gone.values())[:50]


def _check_at_once(at_once: int) -> None:
    if not 1 <= at_once <= 1000:
        raise InvalidInput(f"cannot update {at_once} units at once: give 1 to 1000")


def _submitted(snapshot: Snapshot, target: UnitName) -> str:
    unit = snapshot.units.get(target)
    if unit is None or not unit.is_template:
        raise InvalidInput(
            f"cannot update {target}: give the file with its new content (only of a submitted template the"
            " stored one can be meant)"
        )
    return unit.text
