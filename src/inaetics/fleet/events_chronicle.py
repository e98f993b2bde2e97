"""Keeps the events of a process that follows the store: in memory, on disk, and without gaps across its restarts.

It reads the store's history from where its record ends (from the beginning, without a record) by a watch of its own,
until that has caught up with the process's mirror, and goes on with what the mirror is told. Where the store no
longer has the history, an event says so.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import structlog

from inaetics.errors import Unavailable
from inaetics.fleet import keys
from inaetics.fleet.events import Clock, Event, Kind, Position
from inaetics.fleet.events_derive import Deriver
from inaetics.fleet.events_files import EventFiles, Reached
from inaetics.fleet.events_ring import Ring, Wanted
from inaetics.fleet.fold import Fold
from inaetics.fleet.mirror import Mirror, Told
from inaetics.store.protocol import Changed, Listing, Relisted, Store, Synced
from inaetics.tasks import TaskGroup

_log = structlog.get_logger()

_WRITE_REACHED_S = 30.0
_AGAIN_S = 1.0


class Chronicle:
    """Follows while `run` runs. `directory` None: nothing is kept on disk."""

    def __init__(self, store: Store, mirror: Mirror, directory: Path | None = None) -> None:
        self._store = store
        self._mirror = mirror
        self._files = EventFiles(directory) if directory else None
        self._ring = Ring()
        self._moved = asyncio.Event()
        self._ready = asyncio.Event()
        self._reading = asyncio.Event()
        self._reading.set()
        self._deriver: Deriver | None = None
        self._reached = Reached(revision=0, keys=0)
        self._told_until = 0
        self._began_at = 0

    # For readers.

    @property
    def last(self) -> Position:
        """The position of the youngest event known."""
        return self._ring.last

    @property
    def forgotten(self) -> Position | None:
        """Everything up to here is not in memory any more."""
        return self._ring.forgotten

    async def ready(self, *, within_s: float) -> None:
        """Wait for the first look at the store; in the end what is on record must do."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._ready.wait()

    def after(self, position: Position, wanted: Wanted, limit: int) -> tuple[list[Event], Position]:
        """The first `limit` wanted events behind `position`, and how far was looked."""
        return self._ring.after(position, wanted, limit)

    def latest(self, wanted: Wanted, limit: int) -> Sequence[Event]:
        """The last `limit` wanted events, oldest first."""
        return self._ring.latest(wanted, limit)

    async def moved(self, position: Position) -> None:
        """Wait until there is an event behind `position`."""
        while self._ring.last <= position:
            await self._moved.wait()

    # At work.

    async def run(self) -> None:
        """Follow until cancelled."""
        self._recall()
        self._told_until = self._mirror.snapshot.revision
        with self._mirror.tapped(self._hear):
            try:
                async with TaskGroup() as group:
                    group.create_task(self._keep_reached(), name="events: how far")
                    while True:
                        await self._reading.wait()
                        try:
                            await self._read_history()
                        except Unavailable as error:
                            _log.warning("events wait for the store", reason=str(error))
                            await asyncio.sleep(_AGAIN_S)
            finally:
                self._write_reached()
                if self._files:
                    self._files.close()

    def _recall(self) -> None:
        if self._files is None:
            return
        known = self._files.read()
        self._ring.add(sorted(known, key=lambda event: event.position))
        on_record = self._files.read_reached()
        last = max(self._ring.last[0] - 1, 0)  # the last revision may have been cut off
        if on_record and on_record.revision >= last:
            self._reached = on_record
        else:
            self._reached = Reached(revision=last, keys=0)

    async def _read_history(self) -> None:
        """Read from where the record ends, until the mirror is caught up with; `_hear` says when."""
        self._began_at = (await self._mirror.changed(0)).revision
        fold, pending = Fold(), list[Changed]()
        async for event in self._store.watch(keys.PREFIX, after=self._reached.revision or 1):
            match event:
                case Relisted():
                    fold = Fold()
                    pending.clear()
                    self._begin(event.listing, fold)
                case Changed():
                    pending.append(event)
                case Synced():
                    self._take([(each, list(fold.apply(each.key, each.current))) for each in pending])
                    pending.clear()
            if not self._reading.is_set():
                return

    def _begin(self, listing: Listing, fold: Fold) -> None:
        for item in listing.items:
            list(fold.apply(item.key, item))
        self._deriver = Deriver(listing, fold)
        if listing.revision < self._reached.revision:
            self._begin_anew(listing)
        missing_from = self._reached.revision + 1
        if listing.revision >= missing_from and not self._is_unchanged(listing):
            message = f"what happened in revisions {missing_from} to {listing.revision} is not known here: "
            message += "the store no longer had that history when this host began to read it"
            self._keep([_gap(listing.revision, message)])
        self._reached = Reached(revision=listing.revision, keys=len(listing.items))
        self._ready.set()

    def _begin_anew(self, listing: Listing) -> None:
        """The store was put back to an earlier state: what is on record happened in another history."""
        self._ring = Ring()
        if self._files:
            self._files.clear()
        message = f"the store was put back to revision {listing.revision}: what happened before is not told"
        self._keep([_gap(listing.revision, message)])
        self._reached = Reached(revision=listing.revision, keys=len(listing.items))

    def _is_unchanged(self, listing: Listing) -> bool:
        """Whether nothing can have happened since: no key is younger, and none is lacking. Revision 1 has no past."""
        youngest = max((item.mod_revision for item in listing.items), default=0)
        seen = self._reached.revision >= youngest and self._reached.keys == len(listing.items)
        return listing.revision == 1 or (self._reached.revision > 0 and seen)

    def _hear(self, told: Listing | Sequence[Told]) -> None:
        """Go on with what the mirror is told, once all that it was told before was read."""
        if isinstance(told, Listing):
            self._told_until = told.revision
            self._reading.set()
            return
        if self._reading.is_set():
            if self._reached.revision < self._told_until or self._deriver is None:
                self._told_until = max(self._told_until, told[-1][0].revision if told else 0)
                return
            self._reading.clear()
        self._take(told)

    def _take(self, told: Sequence[Told]) -> None:
        """Take in whole revisions, each once: the watch and the mirror both tell those around the change-over."""
        told = [each for each in told if each[0].revision > self._reached.revision]
        if not told or self._deriver is None:
            return
        late = told[-1][0].revision <= self._began_at
        events = self._deriver.derive(told, now=time.time(), clock=Clock.LATER if late else Clock.SEEN)
        keys_now = self._reached.keys + sum(_growth(event) for event, _ in told)
        self._reached = Reached(revision=told[-1][0].revision, keys=keys_now)
        self._keep(events)

    def _keep(self, events: Sequence[Event]) -> None:
        fresh = self._ring.add(events)
        if not fresh:
            return
        if self._files:
            self._files.append(fresh)
        self._moved.set()
        self._moved.clear()

    async def _keep_reached(self) -> None:
        while True:
            await asyncio.sleep(_WRITE_REACHED_S)
            self._write_reached()

    def _write_reached(self) -> None:
        if self._files and self._files.read_reached() != self._reached:
            self._files.write_reached(self._reached)


def _growth(event: Changed) -> int:
    """By how many keys there are more."""
    if event.current is None:
        return -1
    return int(event.current.create_revision == event.revision)


def _gap(revision: int, message: str) -> Event:
    return Event(revision=revision, index=0, time=time.time(), clock=Clock.SEEN, kind=Kind.HISTORY, message=message)
