"""The grounds on which the store's contract is tried: a real etcd, and the fake."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import pytest

from inaetics.store.fake import FakeStore
from inaetics.store.protocol import Store
from tests.support.etcd import EtcdCluster, etcd_cluster, etcd_server

_numbers = itertools.count()

Scenario = Callable[[Store], Awaitable[None]]


class Ground(Protocol):
    """A store to try, and power over it. `prefix` is this test's own part of the keys."""

    prefix: str

    def open(self) -> AbstractAsyncContextManager[Store]:
        """Open a client of the store."""

    def outage(self) -> AbstractAsyncContextManager[None]:
        """Cut all clients off for the block."""

    async def expire(self, lease_id: int) -> None:
        """End a lease as if it had not been renewed."""

    async def compact(self) -> None:
        """Drop all history."""


class FakeGround:
    def __init__(self) -> None:
        self.prefix = f"/test/{next(_numbers)}/"
        self._store = FakeStore()
        self._clients: list[FakeStore] = []

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Store]:
        client = self._store.client()
        self._clients.append(client)
        try:
            yield client
        finally:
            await client.aclose()

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        (client,) = self._clients
        with client.outage():
            yield

    async def expire(self, lease_id: int) -> None:
        self._store.expire(lease_id)

    async def compact(self) -> None:
        self._store.compact()


class EtcdGround:
    def __init__(self, etcd: EtcdCluster) -> None:
        self.prefix = f"/test/{next(_numbers)}/"
        self._etcd = etcd

    def open(self) -> AbstractAsyncContextManager[Store]:
        return self._etcd.connect(timeout_s=4.0)

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        self._etcd.pause(0)
        try:
            yield
        finally:
            self._etcd.resume(0)

    async def expire(self, lease_id: int) -> None:
        await asyncio.to_thread(self._etcd.post, "/v3/lease/revoke", {"ID": str(lease_id)})

    async def compact(self) -> None:
        await asyncio.to_thread(self._etcd.compact)


@pytest.fixture(scope="module")
def etcd() -> Iterator[EtcdCluster]:
    """One member, without TLS."""
    with etcd_server() as server:
        yield server


@pytest.fixture(scope="module")
def members() -> Iterator[EtcdCluster]:
    """Three members with mutual TLS. Who kills one starts it again."""
    with etcd_cluster(size=3, tls=True) as cluster:
        yield cluster


@pytest.fixture(params=["fake", "etcd"])
def ground(request: pytest.FixtureRequest) -> Ground:
    if request.param == "fake":
        return FakeGround()
    return EtcdGround(request.getfixturevalue("etcd"))


@pytest.fixture
def play(ground: Ground) -> Callable[[Scenario], None]:
    """Run a scenario with a client of the ground's store, within a minute."""

    async def main(scenario: Scenario) -> None:
        async with asyncio.timeout(60), ground.open() as store:
            await scenario(store)

    return lambda scenario: asyncio.run(main(scenario))
