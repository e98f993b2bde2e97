"""A process's own copy of the fleet's keys, kept up to date by one watch.

Promises: `snapshot` is the store's content at `snapshot.revision`, never half of a transaction; an event costs the same
however much is stored; `reached(revision)` lets a writer read what it wrote. While the store is silent the last known
content stays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import structlog

from inaetics.errors import Unavailable
from inaetics.fleet import keys
from inaetics.fleet.fold import Change, Fold
from inaetics.fleet.model import Snapshot
from inaetics.store.protocol import Changed, KeyValue, Listing, Relisted, Store, Synced

_log = structlog.get_logger()

Listener = Callable[[Sequence[Change] | None], None]
"""Told, synchronously, what changed up to a revision; None: everything may have (the store was listed again)."""


Told = tuple[Changed, Sequence[Change]]
"""What the store said, and what it changed."""

Tap = Callable[[Listing | Sequence[Told]], None]
"""Told, synchronously and before the listeners, everything in the store's order, or that the store was listed."""


class Mirror:
    """Follows the store while `run` runs. Readers of `snapshot` must not keep it across an await."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._fold = Fold()
        self._snapshot = Snapshot()
        self._moved = asyncio.Event()
        self._listeners: list[Listener] = []
        self._taps: list[Tap] = []
        self._pending: list[Changed] = []

    @property
    def snapshot(self) -> Snapshot:
        """What is known now; revision 0 until the first listing."""
        return self._snapshot

    @property
    def ledger_revision(self) -> int:
        """When the engine last wrote anything."""
        return self._fold.ledger_revision

    async def run(self) -> None:
        """Follow the store until cancelled."""
        async for event in self._store.watch(keys.PREFIX):
            match event:
                case Changed():
                    self._pending.append(event)
                case Relisted():
                    self._relist(event.listing)
                case Synced():
                    self._fold_pending(event.revision)

    async def reached(self, revision: int, *, within_s: float = 10.0) -> Snapshot:
        """Wait until the mirror holds everything up to `revision`, and return it. Raises Unavailable in the end."""
        try:
            async with asyncio.timeout(within_s):
                while self._snapshot.revision < revision:
                    await self._moved.wait()
        except TimeoutError:
            raise Unavailable(
                f"cannot read the fleet at revision {revision}: the store has shown only revision "
                f"{self._snapshot.revision} within {within_s:g} s (is etcd up? etcdctl endpoint status)"
            ) from None
        return self._snapshot

    async def ready(self, *, within_s: float = 10.0) -> Snapshot:
        """Wait for the first listing."""
        return await self.reached(1, within_s=within_s)

    async def changed(self, after: int) -> Snapshot:
        """Wait until the mirror is past revision `after`; for ever, where nothing changes."""
        while self._snapshot.revision <= after:
            await self._moved.wait()
        return self._snapshot

    @contextmanager
    def listening(self, listener: Listener) -> Iterator[None]:
        """Call `listener` for every change inside the block. It must be quick and must not raise."""
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)

    @contextmanager
    def tapped(self, tap: Tap) -> Iterator[None]:
        """Call `tap` with everything the store says inside the block. It must be quick and must not raise."""
        self._taps.append(tap)
        try:
            yield
        finally:
            self._taps.remove(tap)

    def _relist(self, listing: Listing) -> None:
        self._fold = Fold()
        self._pending.clear()
        for item in listing.items:
            self._take(item.key, item)
        for tap in self._taps:
            tap(listing)
        self._show(listing.revision, None)

    def _fold_pending(self, revision: int) -> None:
        told = [(event, self._take(event.key, event.current)) for event in self._pending]
        self._pending.clear()
        for tap in self._taps:
            tap(told)
        self._show(revision, [change for _, changes in told for change in changes])

    def _take(self, key: str, item: KeyValue | None) -> list[Change]:
        changes = list(self._fold.apply(key, item))
        if key in self._fold.unreadable:
            _log.warning("record ignored", key=key, reason=self._fold.unreadable[key])
        return changes

    def _show(self, revision: int, changes: Sequence[Change] | None) -> None:
        self._fold.revision = max(revision, self._fold.revision)
        self._snapshot = self._fold.snapshot
        for listener in self._listeners:
            listener(changes)
        self._moved.set()
        self._moved.clear()
