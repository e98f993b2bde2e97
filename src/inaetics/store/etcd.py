"""The door to the real store. Importing it is cheap; `connect` loads the client (protobuf: some 3 MB).

async with connect(["https://127.17.8.101:2379", …], tls=Tls(ca=…, cert=…, key=…)) as store:
    async for event in store.watch("/_coreos.com/fleet/"): …
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from inaetics.store.background import beside
from inaetics.store.endpoints import Tls, read_credentials, resolve

if TYPE_CHECKING:
    from inaetics.store.client import EtcdStore
    from inaetics.store.wire import Wire

__all__ = ["Tls", "connect"]


@asynccontextmanager
async def connect(
    endpoints: Sequence[str],
    *,
    tls: Tls | None = None,
    timeout_s: float = 5.0,
    silence_s: float = 10.0,
    tell_slow: bool = False,
) -> AsyncIterator[EtcdStore]:
    """Open the store at `endpoints` (`https://host:port` with `tls`, `http://` without) for the block.

    All endpoints are members of one cluster; a call goes to any of them and to the next when one dies. It does not
    wait for etcd: the first call does, for at most `timeout_s` (seconds), as every call. `silence_s` is how often
    the servers of open watches are asked whether they live. With `tell_slow`, a call that took more than a second is
    logged with the members it was tried at: for daemons, whose log somebody reads afterwards.

    Certificates that are renewed on disk are taken up within `silence_s`, or when a member refuses those before.

    Raises InvalidInput for a malformed endpoint or a certificate that cannot be read.
    """
    async with open_to(endpoints, tls=tls, timeout_s=timeout_s) as wire:
        from inaetics.store.client import EtcdStore

        wire.tells_slow = tell_slow
        store = EtcdStore(wire, silence_s=silence_s)
        async with beside(store.pulse(), name="store pulse"):
            yield store


def load_client() -> None:
    """Load the client now: for who will connect soon and has time until then."""
    import inaetics.store.wire  # noqa: F401


@asynccontextmanager
async def open_to(endpoints: Sequence[str], *, tls: Tls | None, timeout_s: float) -> AsyncIterator[Wire]:
    """Open the bare wire for the block; see `connect`. For what is no business of a `Store`."""
    if tls:
        read_credentials(tls)
    hosts = await resolve(endpoints, tls=tls is not None)
    load_client()
    from inaetics.store.wire import open_wire

    wire = open_wire(hosts, tls, endpoints=", ".join(endpoints), timeout_s=timeout_s)
    try:
        yield wire
    finally:
        await wire.aclose()
