"""`Store` over etcd v3. Load it through `etcd.connect`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

from inaetics.errors import Conflict, Unavailable
from inaetics.store import election, messages, schema
from inaetics.store.keys import check_commit, check_key
from inaetics.store.lease import lease as kept_lease
from inaetics.store.protocol import (
    Delete,
    Guard,
    KeyValue,
    Leadership,
    Lease,
    Listing,
    Op,
    Put,
    Remaining,
    Store,
    WatchEvent,
)
from inaetics.store.schema import DELETE, PUT, RANGE, TIME_TO_LIVE, TXN
from inaetics.store.watch import Patience, Watches
from inaetics.store.wire import Doubt, Wire


class EtcdStore:
    """See `Store`.

    A call whose answer was lost (its member died) is sent again: an unguarded write may thus be applied twice, at two
    revisions. A guarded one cannot be, and whether the first attempt was applied is found out.
    """

    def __init__(self, wire: Wire, *, silence_s: float) -> None:
        self._wire = wire
        self._watches = Watches(self._wire, Patience(silence_s=silence_s))

    async def pulse(self) -> None:
        """Run beside the watches for as long as the store is open."""
        await self._watches.pulse()

    async def get(self, key: str) -> KeyValue | None:
        check_key(key)
        request = messages.range_request(key)
        found = await self._wire.call(RANGE, request, what=f"cannot get {key!r}")
        return messages.key_value(found.kvs[0]) if found.kvs else None

    async def list(self, prefix: str) -> Listing:
        request = messages.range_request(prefix, prefix=True)
        return messages.listing(await self._wire.call(RANGE, request, what=f"cannot list {prefix!r}"))

    async def put(self, key: str, value: bytes, *, lease: int = 0) -> int:
        check_key(key)
        request = messages.put_request(Put(key=key, value=value, lease=lease))
        answer = await self._wire.call(PUT, request, what=f"cannot put {key!r}")
        return int(answer.header.revision)

    async def delete(self, key: str, *, prefix: bool = False) -> int:
        if not prefix:
            check_key(key)
        request = messages.delete_request(Delete(key=key, prefix=prefix))
        answer = await self._wire.call(DELETE, request, what=f"cannot delete {key!r}")
        return int(answer.deleted)

    async def commit(self, ops: Sequence[Op], *, guards: Sequence[Guard] = ()) -> int:
        check_commit(ops, guards)
        doubt = Doubt()
        what = f"cannot commit {len(ops)} operations" + (f" on {ops[0].key!r} …" if ops else "")
        answer = await self._wire.call(TXN, messages.txn_request(ops, guards), what=what, doubt=doubt)
        if answer.succeeded:
            return int(answer.header.revision)
        refusal = (
            f"{what}: {messages.broken_guard(guards, answer)} (somebody else was first: read again and decide anew)"
        )
        if doubt.applied and ops:
            return await self._settle(ops, what, refusal)
        raise Conflict(refusal)

    async def _settle(self, ops: Sequence[Op], what: str, refusal: str) -> int:
        """Find out whether guards failed only because an earlier attempt, whose answer was lost, was applied."""
        answer: Any = await self._wire.call(TXN, messages.read_request(ops), what=what)
        if revision := messages.written_at(ops, answer):
            return revision
        raise Unavailable(f"{refusal}; an earlier attempt may have been applied before that")

    def watch(self, prefix: str, *, after: int = 0) -> AsyncIterator[WatchEvent]:
        return self._watches.watch(prefix, after=after)

    def lease(self, ttl_s: float, *, revoke: bool = True) -> AbstractAsyncContextManager[Lease]:
        return kept_lease(self._wire, ttl_s, revoke=revoke)

    async def remaining(self, lease: int) -> Remaining | None:
        request = schema.LeaseTimeToLiveRequest(ID=lease)
        answer = await self._wire.call(TIME_TO_LIVE, request, what=f"cannot ask for lease {lease:x}")
        if answer.TTL < 0:
            return None
        return Remaining(
            granted_s=float(answer.grantedTTL), left_s=float(answer.TTL), term=int(answer.header.raft_term)
        )

    def lead(self, name: str, candidate: str, *, ttl_s: float) -> AbstractAsyncContextManager[Leadership]:
        return election.lead(self, name, candidate, ttl_s=ttl_s)

    async def leader(self, name: str) -> str | None:
        return await election.leader(self, name)

    async def aclose(self) -> None:
        await self._wire.aclose()


if TYPE_CHECKING:
    _: type[Store] = EtcdStore
