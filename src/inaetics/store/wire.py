"""The wire to etcd: one channel over all members, calls with a deadline, and etcd's errors as ours.

The only module that imports the library, and late: `connect` loads it. What it takes from it are the channel and the
generated messages; the library's own services hide status codes, and its watch stays silent after a compaction.

Promises: a call is tried on the next member while its deadline allows; whether a failed attempt may yet have been
applied is told, never guessed (`Doubt`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
from etcd3aio import _protobuf as rpc
from etcd3aio.connections import ConnectionManager

from inaetics.errors import InaeticsError, InvalidInput, LeaseLost, Unavailable
from inaetics.store.endpoints import SERVER_NAME, Credentials

REQUIRE_LEADER = (("hasleader", "true"),)
"""Asks a member that is cut off from its cluster to refuse, instead of answering when it is healed."""

_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 2_000),  # despite its name: how long one attempt to connect may take
    ("grpc.max_reconnect_backoff_ms", 1_000),  # gRPC's default of 120 s would be the outage after the outage
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

_NEVER_SENT = ("failed to connect to all addresses", "connections to all backends failing", "etcdserver: no leader")

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 0.5
_SHORTEST_ATTEMPT_S = 1.0


@dataclass(slots=True)
class Doubt:
    """Whether an attempt that failed may have been applied all the same: its answer was lost."""

    applied: bool = False


class Wire:
    """One channel to all members. Make it with `open_wire`."""

    def __init__(self, channel: grpc.aio.Channel, endpoints: str, timeout_s: float) -> None:
        self._channel = channel
        self._endpoints = endpoints
        self._timeout_s = timeout_s
        self._closed = False
        self.kv = rpc.KVStub(channel)
        self.leases = rpc.LeaseStub(channel)
        self.watches = rpc.WatchStub(channel)

    async def call(
        self, method: Any, request: Any, *, what: str, timeout_s: float | None = None, doubt: Doubt | None = None
    ) -> Any:
        """Call `method` until it answers or `timeout_s` has passed; `what` begins the error: "cannot get '/a'"."""
        loop = asyncio.get_running_loop()
        end = loop.time() + (timeout_s or self._timeout_s)
        pause_s = _FIRST_PAUSE_S
        while True:
            left_s = end - loop.time()
            try:
                attempt_s = min(left_s, max(left_s / 2, _SHORTEST_ATTEMPT_S))
                return await self._attempt(method, request, attempt_s)
            except grpc.aio.AioRpcError as error:
                if doubt and error.code() in _RETRIED and not (error.details() or "").startswith(_NEVER_SENT):
                    doubt.applied = True
                if error.code() not in _RETRIED or loop.time() + pause_s >= end:
                    raise self.translated(error, what) from error
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

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
        match error.code():
            case grpc.StatusCode.NOT_FOUND if "lease" in said:
                return LeaseLost(f"{what}: its lease ended ({said})")
            case grpc.StatusCode.INVALID_ARGUMENT:
                return InvalidInput(f"{what}: etcd refuses it: {said}")
            case grpc.StatusCode.PERMISSION_DENIED | grpc.StatusCode.UNAUTHENTICATED:
                return InvalidInput(f"{what}: this certificate may not do that: {said}")
            case grpc.StatusCode.RESOURCE_EXHAUSTED:
                return Unavailable(f"{what}: etcd at {self._endpoints} is full or overloaded: {said}")
            case _:
                pass
        return Unavailable(
            f"{what}: the store does not answer at {self._endpoints}: {said} "
            "(is etcd running there, and can it be reached from here?)"
        )

    async def aclose(self) -> None:
        self._closed = True
        await self._channel.close()


def open_wire(
    hosts: Sequence[str], credentials: Credentials | None, *, endpoints: str, timeout_s: float, ping_s: float = 10.0
) -> Wire:
    """Open a channel to `hosts` (`address:port`). Does no input or output: connecting is the first call's affair."""
    manager = ConnectionManager(hosts, keepalive_time_ms=int(ping_s * 1000), keepalive_timeout_ms=3_000)
    manager.grpc_options.extend(_OPTIONS)
    if credentials is None:
        channel = manager.get_channel()
    else:
        channel = manager.get_channel(
            ca_cert=credentials.ca,
            cert_chain=credentials.cert,
            cert_key=credentials.key,
            tls_server_name=SERVER_NAME,
        )
    return Wire(channel, endpoints, timeout_s)
