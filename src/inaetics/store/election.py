"""Elections over any `Store`: one key per candidate under `name/`, each under its own lease; the oldest key governs.

Promises: two holders do not overlap unless a whole process is paused, because a holder is stopped before its lease's
deadline, which is counted from the sending of its last renewal; what a deposed holder still sends fails by its guard.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import structlog

from inaetics.errors import LeaseLost, Unavailable
from inaetics.store.background import beside
from inaetics.store.protocol import Changed, KeyValue, Leadership, Lease, ModIs, Put, Relisted, Store, Synced

_log = structlog.get_logger()

_AGAIN_S = 0.25
"""Pause before standing again when the store is away; its own calls already wait for their timeout."""

_MARGIN = 0.1
"""Part of the TTL by which a holder is stopped before its lease's deadline: stopping takes time too."""


@asynccontextmanager
async def lead(store: Store, name: str, candidate: str, *, ttl_s: float) -> AsyncIterator[Leadership]:
    """See `Store.lead`."""
    while True:
        async with AsyncExitStack() as stack:
            try:
                lease = await stack.enter_async_context(store.lease(ttl_s))
                won = await _win(store, name, candidate, lease)
            except Unavailable as error:
                _log.debug("candidate stands again", office=name, candidate=candidate, reason=str(error))
            else:
                await stack.enter_async_context(beside(_raise_when_lost(lease, name), name=f"lead {name}: lease"))
                await stack.enter_async_context(beside(_raise_when_gone(store, won, name), name=f"lead {name}: key"))
                yield won
                return
        await asyncio.sleep(_AGAIN_S)


async def leader(store: Store, name: str) -> str | None:
    """See `Store.leader`."""
    listing = await store.list(f"{name}/")
    oldest = min(listing.items, key=lambda item: item.create_revision, default=None)
    return oldest.value.decode() if oldest else None


async def _win(store: Store, name: str, candidate: str, lease: Lease) -> Leadership:
    key = f"{name}/{lease.id:016x}"
    async with beside(_raise_when_lost(lease, name), name=f"stand for {name}: lease"):
        put = Put(key=key, value=candidate.encode(), lease=lease.id)
        created = await store.commit([put], guards=[ModIs(key=key, revision=0)])
        await _until_oldest(store, name, key)
    return Leadership(key=key, create_revision=created, since=asyncio.get_running_loop().time())


async def _until_oldest(store: Store, name: str, key: str) -> None:
    candidates: dict[str, int] = {}
    async for event in store.watch(f"{name}/"):
        match event:
            case Relisted(listing=listing):
                candidates = {item.key: item.create_revision for item in listing.items}
            case Changed(key=changed, current=KeyValue() as item):
                candidates[changed] = item.create_revision
            case Changed(key=changed):
                candidates.pop(changed, None)
            case Synced():
                continue
        if key not in candidates:
            raise LeaseLost(f"candidate for {name!r} is gone from the store: its lease ended")
        if min(candidates, key=candidates.__getitem__) == key:
            return


async def _raise_when_lost(lease: Lease, name: str) -> None:
    loop = asyncio.get_running_loop()
    while (left_s := lease.deadline - lease.ttl_s * _MARGIN - loop.time()) > 0:
        with suppress(TimeoutError):  # renewed meanwhile, or about to be lost: the deadline tells
            async with asyncio.timeout(left_s):
                await lease.wait_lost()
                break
    raise LeaseLost(f"lost the office {name!r}: its lease could not be renewed within {lease.ttl_s:g} s")


async def _raise_when_gone(store: Store, won: Leadership, name: str) -> None:
    async for event in store.watch(won.key):
        if isinstance(event, Synced):
            continue
        stands = event.listing.items if isinstance(event, Relisted) else (event.current,)
        if not any(item and item.create_revision == won.create_revision for item in stands):
            raise LeaseLost(f"lost the office {name!r}: its key {won.key!r} was deleted")
