"""The wire to etcd: calls with a deadline that go on to another member when one fails, and etcd's errors as ours.

From the library it takes channels and generated messages; the library's own services hide status codes, and its watch
is silent after a compaction. It is loaded late, by `connect`: nothing that is imported before may import this module.

One member is used at a time, and left when it refuses, fails or does not answer: a client costs one connection, and
a member that hangs delays one call, not every third as when calls go round. Where a client begins is left to chance.

Promises: a call is tried while its deadline allows; whether a failed attempt may yet have been applied is told, never
guessed (`Doubt`).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import grpc
import grpc.aio
import structlog
from etcd3aio import _protobuf as rpc
from etcd3aio.connections import ConnectionManager

from inaetics.errors import InaeticsError, InvalidInput, LeaseLost, NotFound, Unavailable
from inaetics.store.endpoints import SERVER_NAME, Credentials, Tls, common_name, read_credentials
from inaetics.tls import has_ended

_log = structlog.get_logger()

REQUIRE_LEADER = (("hasleader", "true"),)
"""Asks a member that is cut off from its cluster to refuse, instead of answering when it is healed."""

_PING_MS = 1_500
"""A connection on which nothing arrived for so long is pinged; etcd must allow it (`grpc-keepalive-min-time`)."""

_PING_TIMEOUT_MS = 1_500
"""Without an answer for so long it is ended, and what was under way on it goes on at another member."""

_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 2_000),  # despite its name: how long one attempt to connect may take
    ("grpc.max_reconnect_backoff_ms", 500),  # gRPC's default of 120 s would be the outage after the outage
    ("grpc.http2.ping_timeout_ms", _PING_TIMEOUT_MS),  # the keep-alive timeout alone ends no connection that hangs
    ("grpc.http2.max_pings_without_data", 0),  # a quiet watch sends no data: gRPC would stop pinging after two
    ("grpc.keepalive_permit_without_calls", 0),  # etcd takes pings amiss where nothing is under way
    ("grpc.max_receive_message_length", -1),  # a listing may be larger than gRPC's 4 MB
    ("grpc.enable_http_proxy", 0),  # the cluster's members are never behind the user's web proxy
)

_RETRIED = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,  # a member that is stopping
        grpc.StatusCode.INTERNAL,  # a stream reset by a member that was killed
        grpc.StatusCode.UNKNOWN,
    }
)

RANGE, PUT, DELETE, TXN = (attrgetter(f"kv.{name}") for name in ("Range", "Put", "DeleteRange", "Txn"))
GRANT, REVOKE = (attrgetter(f"leases.{name}") for name in ("LeaseGrant", "LeaseRevoke"))

_PASSING = ("etcdserver: revision of auth store is old", "etcdserver: user name is empty")
"""Refusals that come of users or roles being changed at this moment: the same call is taken a moment later."""

_NEVER_SENT = ("failed to connect to all addresses", "connections to all backends failing", "etcdserver: no leader")

_RETIRED_S = 5.0
"""How long a call under way may still take on a connection that is replaced by one with a renewed certificate."""

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 0.5
_FIRST_ATTEMPT = 0.2
"""Part of its time that a call gives to its first attempt: a member that hangs leaves enough for two others."""


@dataclass(slots=True)
class Doubt:
    """Whether an attempt that failed may have been applied all the same: its answer was lost."""

    applied: bool = False


class Member:
    """One member's channel and its services; it connects when it is first used."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.kv = rpc.KVStub(channel)
        self.leases = rpc.LeaseStub(channel)
        self.watches = rpc.WatchStub(channel)


class Wire:
    """All members of one cluster, one of them in use. Make it with `open_wire`."""

    def __init__(self, hosts: Sequence[str], tls: Tls | None, *, endpoints: str, timeout_s: float) -> None:
        self._hosts = hosts
        self._tls = tls
        self._credentials = read_credentials(tls) if tls else None
        self._members = [Member(_channel(host, self._credentials)) for host in hosts]
        self._retired: list[Member] = []
        self._used = random.randrange(len(hosts))
        self._endpoints = endpoints
        self._timeout_s = timeout_s
        self._closed = False
        self.on_silence: Callable[[Member], None] = lambda member: None
        """Called with a member that did not answer in time."""

    @property
    def member(self) -> Member:
        """The member in use."""
        return self._members[self._used]

    def leave(self, member: Member) -> None:
        """Use the next member if `member` is the one in use."""
        if member is self.member:
            self._used = (self._used + 1) % len(self._members)

    def renew(self) -> None:
        """Connect anew from now on if the certificates on disk are others than those in use.

        What is under way stays where it is: a connection outlives the certificate it was opened with.
        """
        try:
            found = read_credentials(self._tls) if self._tls else None
        except InvalidInput as error:  # half of them written, perhaps: those in use stay
            _log.debug("certificates cannot be read", reason=str(error))
            return
        if found == self._credentials or self._closed:
            return
        if found is None or not has_ended(found.cert.decode("ascii", "replace")):  # an ended one opens nothing
            self._credentials = found
            self._retired.extend(self._members)
            self._members = [Member(_channel(host, found)) for host in self._hosts]
            _log.info("certificates renewed", files=str(self._tls and self._tls.cert))

    async def close_retired(self, in_use: Collection[Member]) -> None:
        """Close connections of before the last renewal, except those `in_use`."""
        retired, self._retired = self._retired, [each for each in self._retired if each in in_use]
        for member in retired:
            if member not in in_use:
                await member.channel.close(grace=_RETIRED_S)

    async def call(
        self,
        method: Callable[[Member], Any],
        request: Any,
        *,
        what: str,
        timeout_s: float | None = None,
        doubt: Doubt | None = None,
    ) -> Any:
        """Call `method` until it answers or `timeout_s` has passed; `what` begins the error: "cannot get '/a'"."""
        loop = asyncio.get_running_loop()
        timeout_s = timeout_s or self._timeout_s
        end = loop.time() + timeout_s
        pause_s = _FIRST_PAUSE_S
        attempt_s = timeout_s * _FIRST_ATTEMPT
        while True:
            member = self.member
            try:
                return await self._attempt(method(member), request, min(attempt_s, end - loop.time()))
            except grpc.aio.AioRpcError as error:
                passing = error.details() in _PASSING
                if error.code() not in _RETRIED and not passing:
                    raise self.translated(error, what) from error
                if not passing:
                    self.failed(member, error)
                if doubt and not passing and not (error.details() or "").startswith(_NEVER_SENT):
                    doubt.applied = True
                if loop.time() + 2 * pause_s >= end:  # no time for another attempt that could tell more
                    raise self.translated(error, what) from error
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
            attempt_s *= 2

    def failed(self, member: Member, error: grpc.aio.AioRpcError) -> None:
        """Leave a member on which a call failed with `error`, and spread the word if it kept silent."""
        self.leave(member)
        self.renew()
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            self.on_silence(member)

    async def _attempt(self, method: Any, request: Any, timeout_s: float) -> Any:
        self.raise_if_closed()
        try:
            return await method(request, timeout=timeout_s, metadata=REQUIRE_LEADER)
        except asyncio.CancelledError:
            self.raise_if_closed()
            raise

    def raise_if_closed(self) -> None:
        """Raise Unavailable after `aclose`; gRPC itself cancels its callers then, whom nobody has cancelled."""
        task = asyncio.current_task()
        if self._closed and task is not None and not task.cancelling():
            raise Unavailable("cannot use the store: this connection was closed")

    def translated(self, error: grpc.aio.AioRpcError, what: str) -> InaeticsError:
        """Say in our words what etcd or gRPC said."""
        said = (error.details() or error.code().name).removeprefix("etcdserver: ")
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            said = "no answer in time"
        match error.code():
            case grpc.StatusCode.NOT_FOUND if "lease" in said:
                return LeaseLost(f"{what}: its lease ended ({said})")
            case grpc.StatusCode.OUT_OF_RANGE:
                return NotFound(f"{what}: etcd does not know that revision: {said}")
            case grpc.StatusCode.INVALID_ARGUMENT:
                return InvalidInput(f"{what}: etcd refuses it: {said}")
            case grpc.StatusCode.PERMISSION_DENIED | grpc.StatusCode.UNAUTHENTICATED:
                who = common_name(self._credentials.cert) if self._credentials else "none"
                return InvalidInput(f"{what}: the certificate {who!r} has no right to that ({said})")
            case grpc.StatusCode.RESOURCE_EXHAUSTED if "space exceeded" in said:
                return Unavailable(
                    f"{what}: the store is full, etcd at {self._endpoints} takes only deletions ({said}); what runs"
                    " goes on, nothing can be changed (make room: inaetics etcd defragment)"
                )
            case grpc.StatusCode.RESOURCE_EXHAUSTED:
                return Unavailable(f"{what}: etcd at {self._endpoints} is overloaded: {said}")
            case _:
                pass
        return Unavailable(
            f"{what}: the store does not answer at {self._endpoints}: {said} "
            "(is etcd running there, and can it be reached from here?)"
        )

    async def aclose(self) -> None:
        self._closed = True
        for member in (*self._members, *self._retired):
            await member.channel.close()


def open_wire(hosts: Sequence[str], tls: Tls | None, *, endpoints: str, timeout_s: float) -> Wire:
    """Open channels to `hosts` (`address:port`). Reads the certificates; connecting is the first call's affair."""
    return Wire(hosts, tls, endpoints=endpoints, timeout_s=timeout_s)


def _channel(host: str, credentials: Credentials | None) -> grpc.aio.Channel:
    manager = ConnectionManager([host], keepalive_time_ms=_PING_MS, keepalive_timeout_ms=_PING_TIMEOUT_MS)
    manager.grpc_options.extend(_OPTIONS)
    if credentials is None:
        return manager.get_channel()
    return manager.get_channel(
        ca_cert=credentials.ca, cert_chain=credentials.cert, cert_key=credentials.key, tls_server_name=SERVER_NAME
    )
