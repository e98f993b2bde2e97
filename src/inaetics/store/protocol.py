"""What the cluster asks of its store: revisions, watches without gaps, leases, elections, guarded transactions.

Promises: a watch yields every change exactly once, in revision order, or says that it must list again; a write under a
lost lease or a lost leadership fails as a whole.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyValue:
    """A key as stored. `lease` is 0 for a key without one."""

    key: str
    value: bytes
    create_revision: int
    mod_revision: int
    lease: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Everything under a prefix at one `revision`, in key order."""

    revision: int
    items: tuple[KeyValue, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    key: str
    value: bytes
    lease: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    """Delete one key, or with `prefix` every key that begins with it."""

    key: str
    prefix: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ModIs:
    """Guard: the key's mod revision is `revision`; 0 says the key does not exist."""

    key: str
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedAt:
    """Guard: the key's create revision is `revision` (an election key still held by who took it)."""

    key: str
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """A key was put (`current` is set) or deleted (`current` is None) at `revision`."""

    key: str
    revision: int
    current: KeyValue | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Relisted:
    """The watch (re)starts from a complete listing: whatever was known before is void. Always the first event."""

    listing: Listing


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """Every change up to `revision` of one etcd response has been yielded: a good moment to act on them together."""

    revision: int


Op = Put | Delete
Guard = ModIs | CreatedAt
WatchEvent = Relisted | Changed | Synced


class Lease(Protocol):
    """A lease kept alive in the background until the block that opened it ends; then it is revoked.

    `id` is etcd's. `deadline` is the loop-clock instant (seconds) until which the lease certainly holds, counted from
    the sending of the last renewal that succeeded. `wait_lost` returns when it can no longer be relied on,
    `wait_renewed` after the next renewal that succeeds, when `deadline` has moved. `renew_every` has it renewed so
    often (seconds) from now on, where that is more often than every third of its TTL.
    """

    @property
    def id(self) -> int: ...
    @property
    def ttl_s(self) -> float: ...
    @property
    def deadline(self) -> float: ...
    async def wait_lost(self) -> None: ...
    async def wait_renewed(self) -> None: ...
    def renew_every(self, seconds: float) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Remaining:
    """How much longer somebody's lease lasts unless it is renewed: at least `left_s`, and less than a second more.

    With nothing left it may have ended already and await its removal. A new leader of the store extends every lease,
    renewed or not. `term` is the term of that leadership or, for the moment until the member that answered has applied
    that leader's first entry, of the one before; or of a later one that this member had heard of meanwhile.
    """

    granted_s: float
    left_s: float
    term: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Leadership:
    """Held office: writes of the holder carry `guard`, so that they fail as a whole once it is lost."""

    key: str
    create_revision: int
    since: float
    """Loop-clock seconds at which the office was won."""

    @property
    def guard(self) -> CreatedAt:
        return CreatedAt(key=self.key, revision=self.create_revision)


class Store(Protocol):
    """A key-value store with revisions. Every method raises `Unavailable` when it does not answer in time.

    A call whose answer was lost is sent again, so an unguarded write may be applied twice, at two revisions.
    `Unavailable` from a write does not say that nothing was written: read before deciding what to do.
    """

    async def get(self, key: str) -> KeyValue | None: ...

    async def list(self, prefix: str) -> Listing: ...

    async def put(self, key: str, value: bytes, *, lease: int = 0) -> int:
        """Write one key; returns the revision."""

    async def delete(self, key: str, *, prefix: bool = False) -> int:
        """Delete a key, or all keys that begin with it; returns how many went. Deleting what is absent is no error."""

    async def commit(self, ops: Sequence[Op], *, guards: Sequence[Guard] = ()) -> int:
        """Apply all of `ops` in one transaction if every guard holds; returns its revision.

        Raises `Conflict` when a guard fails (nothing is written), `LeaseLost` when a lease named in `ops` is gone,
        `InvalidInput` when there are more than `MAX_OPS` operations, more than `MAX_GUARDS` guards or one key twice
        (also as part of a deleted prefix). No operations is a way to ask for the current revision under guards.
        """

    def watch(self, prefix: str, *, after: int = 0) -> AsyncIterator[WatchEvent]:
        """List `prefix`, then yield every change, for ever, through compaction, member loss and outages.

        With `after` the listing is that of this revision, so that what has happened since is seen too; of the present,
        as without it, where that history was compacted away.
        The first event is `Relisted`; another one follows whenever history was compacted away. It ends only with the
        store, by `Unavailable`. Iterate in one task; break out or cancel that task to end it.
        """

    def lease(self, ttl_s: float, *, revoke: bool = True) -> AbstractAsyncContextManager[Lease]:
        """Grant a lease and keep it alive every third of its TTL inside the block; revoke it at the end.

        Without `revoke` it runs out by itself after the block, for one who means to come back before that.
        The TTL is whole seconds, rounded up, and at least what etcd grants (`Lease.ttl_s`). A lost lease does not end
        the block: `wait_lost` beside it.
        """

    async def remaining(self, lease: int) -> Remaining | None:
        """How much longer a lease lasts, anybody's; None when there is no such lease (any more)."""

    def lead(self, name: str, candidate: str, *, ttl_s: float) -> AbstractAsyncContextManager[Leadership]:
        """Wait for the office `name` and hold it inside the block, as `candidate` (what `leader` shows).

        Waits through outages too. When the office is lost the block is cancelled and `LeaseLost` raised from it: at
        nine tenths of the TTL after the last renewal, so that it has ended before a successor begins.
        """

    async def leader(self, name: str) -> str | None:
        """Who holds the office now, or None."""

    async def aclose(self) -> None: ...


MAX_OPS = 100
"""Operations in one `commit`: etcd takes 128 by default (`--max-txn-ops`), guards are counted apart."""

MAX_GUARDS = 128
"""Guards of one `commit`: etcd's default limit, so that `MAX_OPS` operations leave room for the leader's guard."""


def chunks(ops: Sequence[Op], size: int = MAX_OPS) -> list[Sequence[Op]]:
    """Split `ops` into commits of at most `size`, in order."""
    return [ops[i : i + size] for i in range(0, len(ops), size)]
