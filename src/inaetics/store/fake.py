"""A store in memory with the contract of the real one, for tests: revisions, watches, leases that end on request.

Leases never end by the clock alone: `expire` ends one, and so does an `outage` longer than its TTL. `client()` gives
another client of the same data, so that one can be cut off while others go on.
"""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from inaetics.errors import Conflict, InvalidInput, LeaseLost, Unavailable
from inaetics.store import election
from inaetics.store.keys import check_commit, check_key, encode, guard_failure
from inaetics.store.protocol import (
    Changed,
    Delete,
    Guard,
    KeyValue,
    Leadership,
    Lease,
    Listing,
    Op,
    Put,
    Relisted,
    Remaining,
    Store,
    Synced,
    WatchEvent,
)


@dataclass(slots=True)
class _Data:
    """What etcd would hold. `history` has one entry for each revision after `compacted`, in order."""

    revision: int = 1
    compacted: int = 1
    items: dict[str, KeyValue] = field(default_factory=dict)
    history: list[tuple[Changed, ...]] = field(default_factory=list)
    compacted_items: dict[str, KeyValue] = field(default_factory=dict)
    leases: dict[int, FakeLease] = field(default_factory=dict)
    term: int = 1
    lease_ids: Iterator[int] = field(default_factory=lambda: itertools.count(0x1000))
    watchers: set[asyncio.Event] = field(default_factory=set)

    def under(self, prefix: str) -> tuple[KeyValue, ...]:
        found = [item for item in self.items.values() if item.key.startswith(prefix)]
        return tuple(sorted(found, key=lambda item: encode(item.key)))

    def as_of(self, revision: int, prefix: str) -> Listing:
        """What was under `prefix` at a revision that is neither compacted nor to come."""
        items = dict(self.compacted_items)
        for change in (each for changes in self.history[: revision - self.compacted] for each in changes):
            if change.current is None:
                items.pop(change.key, None)
            else:
                items[change.key] = change.current
        found = sorted((item for item in items.values() if item.key.startswith(prefix)), key=lambda item: item.key)
        return Listing(revision=revision, items=tuple(found))

    def check(self, guards: Sequence[Guard]) -> None:
        for guard in guards:
            item = self.items.get(guard.key)
            mod, created = (item.mod_revision, item.create_revision) if item else (0, 0)
            if failure := guard_failure(guard, mod_revision=mod, create_revision=created):
                raise Conflict(f"cannot commit: {failure} (somebody else was first: read again and decide anew)")

    def apply(self, ops: Sequence[Op]) -> int:
        """Apply `ops` at one new revision, or at none when they change nothing; returns the revision."""
        for op in ops:
            if isinstance(op, Put) and op.lease and op.lease not in self.leases:
                raise LeaseLost(f"cannot put {op.key!r}: its lease ended")
        changes = [change for op in ops for change in self._changes(op, self.revision + 1)]
        if changes:
            self.revision += 1
            self.history.append(tuple(changes))
            self.wake()
        return self.revision

    def _changes(self, op: Op, revision: int) -> list[Changed]:
        match op:
            case Put():
                before = self.items.get(op.key)
                item = KeyValue(
                    key=op.key,
                    value=op.value,
                    create_revision=before.create_revision if before else revision,
                    mod_revision=revision,
                    lease=op.lease,
                )
                self.items[op.key] = item
                return [Changed(key=op.key, revision=revision, current=item)]
            case Delete():
                gone = [item.key for item in self.under(op.key) if op.prefix or item.key == op.key]
                for key in gone:
                    del self.items[key]
                return [Changed(key=key, revision=revision, current=None) for key in gone]

    def end_lease(self, lease_id: int) -> None:
        """End a lease: its keys go, at one revision."""
        lease = self.leases.pop(lease_id, None)
        if lease is None:
            return
        self.apply([Delete(key=item.key) for item in self.under("") if item.lease == lease_id])
        lease.lose()

    def wake(self) -> None:
        for watcher in self.watchers:
            watcher.set()


class FakeLease:
    """See `Lease`. Renewed for as long as its client is not cut off."""

    def __init__(self, *, lease_id: int, ttl_s: float) -> None:
        self._id = lease_id
        self._ttl_s = ttl_s
        self._every_s = ttl_s / 3
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._frozen_at: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._lost = asyncio.Event()

    @property
    def id(self) -> int:
        return self._id

    @property
    def ttl_s(self) -> float:
        return self._ttl_s

    @property
    def deadline(self) -> float:
        renewed_at = asyncio.get_running_loop().time() if self._frozen_at is None else self._frozen_at
        return renewed_at + self._ttl_s

    async def wait_lost(self) -> None:
        await self._lost.wait()

    async def wait_renewed(self) -> None:
        await asyncio.sleep(self._every_s)
        await self._flowing.wait()

    def renew_every(self, seconds: float) -> None:
        self._every_s = min(seconds, self._ttl_s / 3)

    def freeze(self, data: _Data) -> None:
        """Renew no more: one TTL from now it ends, in the store too."""
        self._flowing.clear()
        loop = asyncio.get_running_loop()
        self._frozen_at = loop.time()
        self._timer = loop.call_later(self._ttl_s, data.end_lease, self._id)

    def thaw(self) -> None:
        self._stop_timer()
        if not self._lost.is_set():
            self._frozen_at = None
            self._flowing.set()

    def lose(self) -> None:
        self._stop_timer()
        if self._frozen_at is None:
            self._frozen_at = asyncio.get_running_loop().time() - self._ttl_s
        self._lost.set()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class FakeStore:
    """See `Store`, and the module."""

    def __init__(self, data: _Data | None = None) -> None:
        self._data = data or _Data()
        self._away = False
        self._closed = False
        self._leases: set[FakeLease] = set()

    def client(self) -> FakeStore:
        """Return another client of the same data, with outages of its own."""
        return FakeStore(self._data)

    @property
    def revision(self) -> int:
        """The store's current revision."""
        return self._data.revision

    def expire(self, lease_id: int) -> None:
        """End a lease as etcd does when it was not renewed in time."""
        if lease_id not in self._data.leases:
            raise InvalidInput(f"cannot expire lease {lease_id:x}: there is none")
        self._data.end_lease(lease_id)

    def compact(self) -> None:
        """Forget all history: a watch that has not seen the present must list again."""
        self._data.history.clear()
        self._data.compacted = self._data.revision
        self._data.compacted_items = dict(self._data.items)
        self._data.wake()

    @contextmanager
    def outage(self) -> Iterator[None]:
        """Cut this client off: calls raise Unavailable, watches are silent, leases are not renewed."""
        self._away = True
        for lease in self._leases:
            lease.freeze(self._data)
        try:
            yield
        finally:
            self._away = False
            for lease in self._leases:
                lease.thaw()
            self._data.wake()

    async def get(self, key: str) -> KeyValue | None:
        check_key(key)
        await self._reach(f"cannot get {key!r}")
        return self._data.items.get(key)

    async def list(self, prefix: str) -> Listing:
        await self._reach(f"cannot list {prefix!r}")
        return Listing(revision=self._data.revision, items=self._data.under(prefix))

    async def put(self, key: str, value: bytes, *, lease: int = 0) -> int:
        return await self.commit([Put(key=key, value=value, lease=lease)])

    async def delete(self, key: str, *, prefix: bool = False) -> int:
        op = Delete(key=key, prefix=prefix)
        check_commit([op], [])
        await self._reach(f"cannot delete {key!r}")
        before = len(self._data.items)
        self._data.apply([op])
        return before - len(self._data.items)

    async def commit(self, ops: Sequence[Op], *, guards: Sequence[Guard] = ()) -> int:
        check_commit(ops, guards)
        await self._reach("cannot commit")
        self._data.check(guards)
        return self._data.apply(ops)

    async def watch(self, prefix: str, *, after: int = 0) -> AsyncIterator[WatchEvent]:
        data = self._data
        seen = 0
        changed = asyncio.Event()
        data.watchers.add(changed)
        try:
            if data.compacted <= after <= data.revision and not self._away:
                yield Relisted(listing=data.as_of(after, prefix))
                seen = after
            while True:
                news, seen = self._news(prefix, seen)
                for event in news:
                    yield event
                await changed.wait()
                changed.clear()
                self._raise_if_closed()
        finally:
            data.watchers.discard(changed)

    def _news(self, prefix: str, seen: int) -> tuple[tuple[WatchEvent, ...], int]:
        """Return what a watch that has seen revision `seen` must hear now, and the revision it has seen then."""
        self._raise_if_closed()
        data = self._data
        if self._away:
            return (), seen
        if seen < data.compacted:
            return (Relisted(listing=Listing(revision=data.revision, items=data.under(prefix))),), data.revision
        fresh = [change for changes in data.history[seen - data.compacted :] for change in changes]
        mine = [change for change in fresh if change.key.startswith(prefix)]
        return ((*mine, Synced(revision=mine[-1].revision)) if mine else ()), data.revision

    @asynccontextmanager
    async def _lease(self, ttl_s: float, *, revoke: bool) -> AsyncIterator[Lease]:
        if not ttl_s > 0:
            raise InvalidInput(f"cannot grant a lease of {ttl_s} s: it must be more than 0")
        await self._reach(f"cannot grant a lease of {ttl_s:g} s")
        lease = FakeLease(lease_id=next(self._data.lease_ids), ttl_s=float(math.ceil(ttl_s)))
        self._data.leases[lease.id] = lease
        self._leases.add(lease)
        try:
            yield lease
        finally:
            self._leases.discard(lease)
            if not revoke:
                lease.freeze(self._data)
            elif not self._away:
                self._data.end_lease(lease.id)

    def lease(self, ttl_s: float, *, revoke: bool = True) -> AbstractAsyncContextManager[Lease]:
        return self._lease(ttl_s, revoke=revoke)

    async def remaining(self, lease: int) -> Remaining | None:
        await self._reach(f"cannot ask for lease {lease:x}")
        found = self._data.leases.get(lease)
        if found is None:
            return None
        left_s = found.deadline - asyncio.get_running_loop().time()
        return Remaining(granted_s=found.ttl_s, left_s=float(math.floor(left_s)), term=self._data.term)

    def lead(self, name: str, candidate: str, *, ttl_s: float) -> AbstractAsyncContextManager[Leadership]:
        return election.lead(self, name, candidate, ttl_s=ttl_s)

    async def leader(self, name: str) -> str | None:
        return await election.leader(self, name)

    async def aclose(self) -> None:
        self._closed = True
        self._data.wake()

    async def _reach(self, what: str) -> None:
        """Go to the store: others run meanwhile, as they do on a real way there."""
        self._raise_if_closed()
        await asyncio.sleep(0)
        if self._away:
            raise Unavailable(f"{what}: the store is away (a scripted outage)")

    def _raise_if_closed(self) -> None:
        if self._closed:
            raise Unavailable("cannot use the store: this connection was closed")


if TYPE_CHECKING:
    _: type[Store] = FakeStore
