"""A lease and its supervisor: renewed every third of its TTL, or more often, and given up when it cannot be relied on.

Promises: `deadline` never lies on the optimistic side. It counts from the *sending* of the last renewal that was
answered, so etcd, which counts from receiving it, cannot have ended the lease before.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import structlog

from inaetics.errors import InaeticsError, InvalidInput, Unavailable
from inaetics.store import schema as rpc
from inaetics.store.background import beside
from inaetics.store.channel import Call
from inaetics.store.rpc import RpcError
from inaetics.store.schema import GRANT, KEEP_ALIVE, REVOKE
from inaetics.store.wire import Member, Wire

_log = structlog.get_logger()

_PAUSE_S = 0.05
_REVOKE_S = 1.0
"""How long the end of a block may wait for etcd: a lease that is not revoked ends by itself."""


class EtcdLease:
    """See `Lease`."""

    def __init__(self, wire: Wire, *, lease_id: int, ttl_s: float, sent_at: float) -> None:
        self._wire = wire
        self._id = lease_id
        self._ttl_s = ttl_s
        self._sent_at = sent_at
        self._every_s = ttl_s / 3
        self._changed_pace = asyncio.Event()
        self._next_renewal = asyncio.Event()
        self._lost = asyncio.Event()
        self._stream: tuple[Member, Call] | None = None

    @property
    def id(self) -> int:
        return self._id

    @property
    def ttl_s(self) -> float:
        return self._ttl_s

    @property
    def deadline(self) -> float:
        return self._sent_at + self._ttl_s

    async def wait_lost(self) -> None:
        await self._lost.wait()

    async def wait_renewed(self) -> None:
        await self._next_renewal.wait()

    def renew_every(self, seconds: float) -> None:
        self._every_s = min(seconds, self._ttl_s / 3)
        self._changed_pace.set()

    async def keep(self) -> None:
        """Renew until the lease is gone or could not be renewed by its deadline; then say so and return."""
        reason = "the store ended it"
        try:
            async with asyncio.timeout_at(self.deadline) as limit:
                try:
                    while await self._renew():
                        limit.reschedule(self.deadline)
                finally:
                    self._drop_stream()
        except TimeoutError:  # etcd may still hold it, but nobody may rely on that
            reason = "not renewed in time"
        self._lost.set()
        _log.info("lease lost", lease=f"{self._id:x}", ttl_s=self._ttl_s, reason=reason)

    async def _renew(self) -> bool:
        """Renew it once it is due, trying until etcd answers; returns whether it lives."""
        loop = asyncio.get_running_loop()
        await self._until_due()
        while True:
            sent_at = loop.time()
            try:
                granted_s = await self._attempt(max(min(self._ttl_s / 6, self._every_s), 0.25))
            except Unavailable as error:
                _log.debug("lease not renewed", lease=f"{self._id:x}", reason=str(error))
                await asyncio.sleep(_PAUSE_S)
                continue
            if granted_s > 0:
                self._sent_at = sent_at
                self._next_renewal.set()
                self._next_renewal = asyncio.Event()
            return granted_s > 0

    async def _until_due(self) -> None:
        loop = asyncio.get_running_loop()
        while (left_s := self._sent_at + self._every_s - loop.time()) > 0:
            self._changed_pace.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._changed_pace.wait()

    async def _attempt(self, timeout_s: float) -> float:
        """Send one renewal, to the member in use; the stream is kept for the next one, which halves what it costs.

        Returns the TTL that etcd answers, 0 when the lease is gone. A stream that failed in any way is left, so no
        answer is ever taken for that of a later renewal.
        """
        member = self._wire.member
        try:
            async with asyncio.timeout(timeout_s):
                response = await (await self._ask(member)).read()
        except TimeoutError as error:
            self._drop_stream()
            self._wire.leave(member)
            self._wire.on_silence(member)
            raise Unavailable(f"cannot renew lease {self._id:x}: the member did not answer in time") from error
        except RpcError as error:
            self._drop_stream()
            self._wire.raise_if_closed()
            self._wire.failed(member, error)
            raise self._wire.translated(error, f"cannot renew lease {self._id:x}") from error
        except BaseException:
            self._drop_stream()
            raise
        if response is None:
            self._drop_stream()
            self._wire.leave(member)
            raise Unavailable(f"cannot renew lease {self._id:x}: the member ended the stream")
        return float(response.TTL)

    async def _ask(self, member: Member) -> Call:
        """Send a renewal on the stream to `member`, opened if there is none that lives; returns the stream."""
        request = rpc.LeaseKeepAliveRequest(ID=self._id)
        if self._stream is not None and self._stream[0] is member and not self._stream[1].ended:
            self._stream[1].write(request)
        else:
            self._drop_stream()
            self._stream = member, await self._wire.open(member, KEEP_ALIVE, request)
        return self._stream[1]

    def _drop_stream(self) -> None:
        if self._stream is not None:
            self._stream[1].cancel()
            self._stream = None

    async def revoke(self) -> None:
        """Let the lease and its keys go, if etcd can be told soon.

        Also when it seems gone: a member that has just begun to lead may deny a lease that it has yet to load.
        """
        request = rpc.LeaseRevokeRequest(ID=self._id)
        what = f"cannot revoke lease {self._id:x}"
        try:
            await self._wire.call(REVOKE, request, what=what, timeout_s=_REVOKE_S)
        except InaeticsError as error:
            _log.debug("lease not revoked", lease=f"{self._id:x}", reason=str(error))


@asynccontextmanager
async def lease(wire: Wire, ttl_s: float, *, revoke: bool) -> AsyncIterator[EtcdLease]:
    """See `Store.lease`."""
    granted = await _grant(wire, ttl_s)
    try:
        async with beside(granted.keep(), name=f"lease {granted.id:x}"):
            yield granted
    finally:
        if revoke:
            await granted.revoke()


async def _grant(wire: Wire, ttl_s: float) -> EtcdLease:
    if not ttl_s > 0:
        raise InvalidInput(f"cannot grant a lease of {ttl_s} s: it must be more than 0")
    sent_at = asyncio.get_running_loop().time()
    request = rpc.LeaseGrantRequest(TTL=math.ceil(ttl_s))
    granted: Any = await wire.call(GRANT, request, what=f"cannot grant a lease of {ttl_s:g} s")
    # etcd raises a TTL that is shorter than its election; what it granted is what holds.
    return EtcdLease(wire, lease_id=granted.ID, ttl_s=float(granted.TTL), sent_at=sent_at)
