"""A store whose room is used up."""

from __future__ import annotations

import asyncio

import pytest

from inaetics.errors import Unavailable
from inaetics.store.protocol import Delete, ModIs, Put, Store
from tests.support.etcd import etcd_cluster
from tests.support.eventually import aeventually


def test_a_full_store_says_so_and_what_helps_while_leases_and_deletions_go_on() -> None:
    async def fill(store: Store) -> None:
        for number in range(100):
            await store.put(f"/fill/{number}", b"x" * 200_000)

    async def main() -> None:
        async with etcd.connect() as store, store.lease(6) as lease:
            with pytest.raises(Unavailable, match=r"cannot put '/fill/\d+': the store is full.*etcd defragment"):
                await fill(store)
            with pytest.raises(Unavailable, match="the store is full"):
                await store.commit([Put(key="/a", value=b"")], guards=[ModIs(key="/a", revision=0)])
            with pytest.raises(Unavailable, match="the store is full"):
                async with store.lease(5):
                    pass
            renewed = lease.deadline

            async def kept() -> bool:
                return lease.deadline > renewed

            await aeventually(kept, within_s=20, what="the lease is renewed")
            await store.commit([Delete(key="/fill/0")])
            assert await store.get("/fill/0") is None

    with etcd_cluster(size=1, flags=("--quota-backend-bytes=2000000", "--election-timeout=500")) as etcd:
        asyncio.run(main())
