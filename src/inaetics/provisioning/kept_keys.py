"""Keys that stand in etcd for as long as this process lives, whatever happens there: written under a lease, and again.

That a key was written is not enough. A write of before whose answer was given up may be applied late: it puts the key
back under a lease that was lost, and the key goes with that one, or it brings an old value. So what is there is
watched, and listed now and then, and what is not as wanted is written again: value and lease.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

import structlog

from inaetics.provisioning.etcd_thread import RETRY_S, EtcdThread, Wake, hold_lease
from inaetics.store.background import beside
from inaetics.store.protocol import Changed, Delete, KeyValue, Listing, Op, Put, Relisted, Store, Synced, chunks

log = structlog.get_logger()

CHECK_S = 30.0
"""How often the keys are listed: the safety net below the watch."""


class KeptKeys:
    """What shall stand below `prefix`, which nobody else writes. Add `keep` to `thread` as a job."""

    def __init__(self, thread: EtcdThread, prefix: str, *, ttl_s: float, check_s: float = CHECK_S) -> None:
        self.prefix = prefix
        self._ttl_s = ttl_s
        self._check_s = check_s
        self._wake = Wake(thread)
        self._lock = threading.Lock()
        self._wanted: dict[str, bytes] = {}
        self._there: dict[str, bytes] = {}
        """What stands under the lease of now."""
        self._incomplete_since: float | None = None

    @property
    def wanted(self) -> dict[str, bytes]:
        """What shall be there; not to be changed, but replaced by `want`."""
        return self._wanted

    def want(self, wanted: Mapping[str, bytes]) -> None:
        """Let exactly this be there, soon. Safe from any thread."""
        with self._lock:
            self._wanted = dict(wanted)
            self._account()
        self._wake.set()

    def missing(self, for_s: float) -> int:
        """How many keys are not there as wanted, if some have not been for `for_s` seconds. Safe from any thread."""
        with self._lock:
            since = self._incomplete_since
            return self._lacking() if since is not None and time.monotonic() - since >= for_s else 0

    async def keep(self, store: Store) -> None:
        """The job: for ever, under one lease after the other. The keys are deleted at its end."""

        async def under(lease: int) -> None:
            there = _There()
            there.relisted(await store.list(self.prefix))
            try:
                async with beside(self._watch(store, there), name="watch own keys"):
                    await self._write(store, lease, there)
            finally:
                self._stand({})

        await hold_lease(store, self._ttl_s, self.prefix, under)

    async def _watch(self, store: Store, there: _There) -> None:
        async for event in store.watch(self.prefix):
            match event:
                case Relisted(listing=listing):
                    there.relisted(listing)
                case Changed(key=key, revision=revision, current=current):
                    there.changed(key, revision, (current.value, current.lease) if current else None)
                case Synced():
                    pass
            self._wake.set()

    async def _write(self, store: Store, lease: int, there: _There) -> None:
        registered: dict[str, bytes] = {}
        while True:
            wanted = self._wanted
            ops = there.lacks(wanted, lease)
            lost = [op.key for op in ops if isinstance(op, Put) and registered.get(op.key) == op.value]
            for part in chunks(ops):
                there.wrote(part, await store.commit(part))
            self._stand(there.under(lease))
            if lost:
                log.warning("registration was gone, written again", keys=lost, lease=f"{lease:x}")
                await asyncio.sleep(RETRY_S)  # whoever takes them away is not raced
            elif not registered and wanted:
                log.info("registered", prefix=self.prefix, keys=len(wanted), lease=f"{lease:x}")
            registered = wanted
            await self._news(store, there)

    async def _news(self, store: Store, there: _There) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._check_s):
                await self._wake.wait()
                return
        there.relisted(await store.list(self.prefix))

    def _stand(self, there: dict[str, bytes]) -> None:
        with self._lock:
            self._there = there
            self._account()

    def _account(self) -> None:
        if not self._lacking():
            self._incomplete_since = None
        elif self._incomplete_since is None:
            self._incomplete_since = time.monotonic()

    def _lacking(self) -> int:
        return sum(self._there.get(key) != value for key, value in self._wanted.items())


class _There:
    """Our keys as etcd has them: of listings, changes and our own writes, for each key the youngest counts."""

    def __init__(self) -> None:
        self._items: dict[str, tuple[bytes, int]] = {}
        self._listed_at = 0
        self._changed_at: dict[str, int] = {}
        """Of keys that were changed after the listing."""

    def relisted(self, listing: Listing) -> None:
        if listing.revision < self._listed_at:
            return
        self._listed_at = listing.revision
        self._changed_at = {key: at for key, at in self._changed_at.items() if at > listing.revision}
        younger = {key: item for key, item in self._items.items() if key in self._changed_at}
        listed = {each.key: _item(each) for each in listing.items if each.key not in self._changed_at}
        self._items = listed | younger

    def changed(self, key: str, revision: int, item: tuple[bytes, int] | None) -> None:
        if revision <= max(self._listed_at, self._changed_at.get(key, 0)):
            return
        self._changed_at[key] = revision
        if item is None:
            self._items.pop(key, None)
        else:
            self._items[key] = item

    def wrote(self, ops: Sequence[Op], revision: int) -> None:
        for op in ops:
            self.changed(op.key, revision, (op.value, op.lease) if isinstance(op, Put) else None)

    def lacks(self, wanted: Mapping[str, bytes], lease: int) -> list[Op]:
        """What to do so that exactly `wanted` is there; puts first: what goes may have a successor among them."""
        puts = [Put(key=key, value=value, lease=lease) for key, value in wanted.items()]
        ops: list[Op] = [put for put in puts if self._items.get(put.key) != (put.value, lease)]
        return ops + [Delete(key=key) for key in sorted(self._items.keys() - wanted.keys())]

    def under(self, lease: int) -> dict[str, bytes]:
        return {key: value for key, (value, of) in self._items.items() if of == lease}


def _item(found: KeyValue) -> tuple[bytes, int]:
    return found.value, found.lease
