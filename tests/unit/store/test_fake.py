"""What the fake has beyond the contract: scripts."""

from __future__ import annotations

import asyncio

import pytest

from inaetics.errors import InvalidInput, LeaseLost, Unavailable
from inaetics.store.fake import FakeStore
from inaetics.store.protocol import Changed, Relisted


def test_clients_share_their_data_and_have_outages_of_their_own() -> None:
    async def main() -> None:
        one = FakeStore()
        two = one.client()
        await one.put("a", b"1")
        with two.outage():
            with pytest.raises(Unavailable):
                await two.get("a")
            await one.put("a", b"2")
        item = await two.get("a")
        assert item is not None
        assert item.value == b"2"
        assert one.revision == two.revision == 3

    asyncio.run(main())


def test_a_watch_that_was_away_over_a_compaction_lists_again() -> None:
    async def main() -> None:
        one = FakeStore()
        two = one.client()
        watch = aiter(two.watch(""))
        assert isinstance(await anext(watch), Relisted)
        with two.outage():
            await one.put("a", b"1")
            await one.put("a", b"2")
            one.compact()
        event = await anext(watch)
        assert isinstance(event, Relisted)
        assert [item.value for item in event.listing.items] == [b"2"]

    asyncio.run(main())


def test_a_lease_cut_off_ends_one_ttl_later_for_others_too() -> None:
    async def main() -> None:
        one = FakeStore()
        two = one.client()
        async with two.lease(1) as lease:
            await two.put("a", b"", lease=lease.id)
            with two.outage():
                assert await one.get("a") is not None
                await lease.wait_lost()
                assert await one.get("a") is None
                assert asyncio.get_running_loop().time() >= lease.deadline
            with pytest.raises(LeaseLost):
                await two.put("a", b"", lease=lease.id)

    asyncio.run(main())


def test_a_short_outage_costs_no_lease() -> None:
    async def main() -> None:
        store = FakeStore()
        async with store.lease(5) as lease:
            with store.outage():
                frozen = lease.deadline
                await asyncio.sleep(0.02)
                assert lease.deadline == frozen
            assert lease.deadline > frozen

    asyncio.run(main())


def test_expiring_a_lease_deletes_its_keys_at_one_revision() -> None:
    async def main() -> None:
        store = FakeStore()
        async with store.lease(5) as lease:
            for key in "ab":
                await store.put(key, b"", lease=lease.id)
            watch = aiter(store.watch(""))
            await anext(watch)
            store.expire(lease.id)
            await lease.wait_lost()
            events = [await anext(watch), await anext(watch)]
            assert [(e.key, e.revision) for e in events if isinstance(e, Changed)] == [("a", 4), ("b", 4)]
        with pytest.raises(InvalidInput):
            store.expire(lease.id)

    asyncio.run(main())


def test_a_holder_cut_off_is_stopped_before_its_lease_ends() -> None:
    """Not at its end, when a successor may begin: stopping takes time too."""
    times: dict[str, float] = {}

    async def govern(store: FakeStore) -> None:
        loop = asyncio.get_running_loop()
        async with store.lead("office", "me", ttl_s=2):
            with store.outage():
                times["lease ends"] = loop.time() + 2
                try:
                    await asyncio.sleep(30)
                finally:
                    times["stopped"] = loop.time()

    with pytest.raises(LeaseLost):
        asyncio.run(govern(FakeStore()))
    assert times["stopped"] < times["lease ends"]
