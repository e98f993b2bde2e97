"""What every store promises, tried on the real one and on the fake: leases and elections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from inaetics.errors import Conflict, InvalidInput, LeaseLost
from inaetics.store.background import beside
from inaetics.store.protocol import Leadership, Put, Store
from tests.component.store.conftest import Ground, Scenario
from tests.component.store.record import recording
from tests.support.eventually import aeventually

Play = Callable[[Scenario], None]


def test_a_lease_is_kept_alive_in_its_block_and_revoked_at_its_end(play: Play, ground: Ground) -> None:
    async def scenario(store: Store) -> None:
        key = f"{ground.prefix}a"
        loop = asyncio.get_running_loop()
        async with store.lease(3) as lease:
            await store.put(key, b"", lease=lease.id)
            granted_until = lease.deadline
            assert loop.time() < granted_until <= loop.time() + lease.ttl_s
            await asyncio.sleep(1.2 * lease.ttl_s)
            item = await store.get(key)
            assert item is not None
            assert item.lease == lease.id
            assert lease.deadline > granted_until
        assert await store.get(key) is None

    play(scenario)


def test_a_lease_that_is_not_revoked_runs_out_by_itself(play: Play, ground: Ground) -> None:
    async def scenario(store: Store) -> None:
        key = f"{ground.prefix}a"
        async with store.lease(1, revoke=False) as lease:
            await store.put(key, b"", lease=lease.id)
        assert await store.get(key) is not None

        async def gone() -> bool:
            return await store.get(key) is None

        await aeventually(gone, within_s=10, what="the lease has run out")
        assert asyncio.get_running_loop().time() >= lease.deadline

    play(scenario)


def test_a_lease_is_renewed_as_often_as_asked_and_each_renewal_is_told(play: Play) -> None:
    async def scenario(store: Store) -> None:
        async with store.lease(60) as lease, asyncio.timeout(15):  # by itself the first renewal comes after 20 s
            lease.renew_every(0.1)
            for _ in range(3):
                before = lease.deadline
                await lease.wait_renewed()
                assert lease.deadline > before

    play(scenario)


def test_anybody_may_ask_how_long_a_lease_lasts(play: Play) -> None:
    """A lease that is renewed has more left than one that is not, and both are of the same term."""

    async def scenario(store: Store) -> None:
        async with store.lease(60, revoke=False) as left_alone:
            pass
        async with store.lease(60) as kept:
            kept.renew_every(0.1)
            await asyncio.sleep(4.1)
            renewed, aged = await store.remaining(kept.id), await store.remaining(left_alone.id)
            assert renewed is not None
            assert aged is not None
            assert renewed.granted_s == aged.granted_s == kept.ttl_s
            assert kept.ttl_s - 4 < renewed.left_s <= kept.ttl_s
            assert aged.left_s < kept.ttl_s - 4
            assert renewed.term == aged.term > 0
        assert await store.remaining(kept.id) is None

    play(scenario)


def test_a_lease_lasts_at_least_as_long_as_asked(play: Play) -> None:
    async def scenario(store: Store) -> None:
        async with store.lease(2.5) as lease:
            assert lease.ttl_s == 3.0
        with pytest.raises(InvalidInput):
            async with store.lease(0):
                pass

    play(scenario)


def test_a_key_put_without_its_lease_stays(play: Play, ground: Ground) -> None:
    async def scenario(store: Store) -> None:
        key = f"{ground.prefix}a"
        async with store.lease(5) as lease:
            await store.put(key, b"", lease=lease.id)
            await store.put(key, b"")
        assert await store.get(key) is not None

    play(scenario)


def test_a_lease_that_the_store_ended_is_lost_with_its_keys(play: Play, ground: Ground) -> None:
    async def scenario(store: Store) -> None:
        key = f"{ground.prefix}a"
        async with recording(store, ground.prefix) as record, store.lease(1) as lease:
            await record.reaches(await store.put(key, b"", lease=lease.id))
            await ground.expire(lease.id)
            async with asyncio.timeout(20):
                await lease.wait_lost()
            assert await store.get(key) is None
            with pytest.raises(LeaseLost):
                await store.put(key, b"", lease=lease.id)

    play(scenario)


def test_a_lease_is_lost_at_its_deadline_when_the_store_is_away(play: Play, ground: Ground) -> None:
    async def scenario(store: Store) -> None:
        async with store.lease(1) as lease:
            async with ground.outage():
                async with asyncio.timeout(10):
                    await lease.wait_lost()
                assert asyncio.get_running_loop().time() >= lease.deadline - 0.01
            assert await store.leader(f"{ground.prefix}office") is None

    play(scenario)


def test_the_first_candidate_holds_the_office_and_the_next_one_follows(play: Play, ground: Ground) -> None:
    async def scenario(store: Store) -> None:
        office = f"{ground.prefix}office"
        terms: list[tuple[str, Leadership]] = []
        leave = asyncio.Event()

        async def candidate(name: str) -> None:
            async with store.lead(office, name, ttl_s=5) as leadership:
                terms.append((name, leadership))
                await leave.wait()

        async def leads(name: str) -> bool:
            return await store.leader(office) == name and [each for each, _ in terms[-1:]] == [name]

        assert await store.leader(office) is None
        async with asyncio.TaskGroup() as group:
            first = group.create_task(candidate("first"))
            await aeventually(lambda: leads("first"), within_s=20, what="the first leads")
            group.create_task(candidate("second"))
            await asyncio.sleep(0.2)
            assert [name for name, _ in terms] == ["first"]
            first.cancel()
            await aeventually(lambda: leads("second"), within_s=20, what="the second leads")
            leave.set()
        assert await store.leader(office) is None
        assert terms[0][1].create_revision < terms[1][1].create_revision

    play(scenario)


def test_what_a_deposed_leader_writes_fails_by_its_guard(play: Play, ground: Ground) -> None:
    async def scenario(store: Store) -> None:
        key = f"{ground.prefix}a"
        async with store.lead(f"{ground.prefix}office", "first", ttl_s=5) as old:
            await store.commit([Put(key=key, value=b"first")], guards=[old.guard])
        async with store.lead(f"{ground.prefix}office", "second", ttl_s=5) as new:
            with pytest.raises(Conflict):
                await store.commit([Put(key=key, value=b"late")], guards=[old.guard])
            await store.commit([Put(key=key, value=b"second")], guards=[new.guard])
        item = await store.get(key)
        assert item is not None
        assert item.value == b"second"

    play(scenario)


@pytest.mark.parametrize("how", ["lease ended", "key deleted"])
def test_a_leader_that_is_deposed_is_cancelled_and_told(play: Play, ground: Ground, how: str) -> None:
    async def scenario(store: Store) -> None:
        seen: list[str] = []

        async def govern() -> None:
            async with store.lead(f"{ground.prefix}office", "me", ttl_s=1) as leadership:
                try:
                    await depose(leadership)
                    await asyncio.sleep(10)
                except asyncio.CancelledError:
                    seen.append("cancelled")
                    raise

        async def depose(leadership: Leadership) -> None:
            item = await store.get(leadership.key)
            assert item is not None
            if how == "lease ended":
                await ground.expire(item.lease)
            else:
                await store.delete(leadership.key)

        with pytest.raises(LeaseLost, match="lost the office"):
            await govern()
        assert seen == ["cancelled"]
        await asyncio.sleep(0)  # the cancellation is spent: this task goes on

    play(scenario)


def test_a_leader_is_deposed_by_an_outage_as_long_as_its_lease(play: Play, ground: Ground) -> None:
    async def scenario(store: Store) -> None:
        async with asyncio.timeout(15):
            with pytest.raises(LeaseLost):
                async with store.lead(f"{ground.prefix}office", "me", ttl_s=1), ground.outage():
                    await asyncio.sleep(10)
            async with store.lead(f"{ground.prefix}office", "me again", ttl_s=1):
                pass

    play(scenario)


def test_a_candidate_waits_through_an_outage(play: Play, ground: Ground) -> None:
    async def scenario(store: Store) -> None:
        office = f"{ground.prefix}office"
        elected = asyncio.Event()

        async def stand() -> None:
            async with store.lead(office, "me", ttl_s=1):
                elected.set()
                await asyncio.sleep(30)

        async with ground.outage(), beside(stand(), name="stand"):
            await asyncio.sleep(0.5)
            assert not elected.is_set()
        async with beside(stand(), name="stand"), asyncio.timeout(25):
            await elected.wait()

    play(scenario)


def test_a_candidate_whose_lease_ends_while_it_waits_stands_again(play: Play, ground: Ground) -> None:
    async def scenario(store: Store) -> None:
        office = f"{ground.prefix}office"
        elected = asyncio.Event()

        async def stand() -> None:
            async with store.lead(office, "waiting", ttl_s=1):
                elected.set()
                await asyncio.sleep(30)

        async def candidates() -> list[int]:
            return [item.lease for item in (await store.list(f"{office}/")).items if item.value == b"waiting"]

        async with store.lead(office, "holder", ttl_s=10), beside(stand(), name="stand"):
            (old,) = await aeventually(candidates, within_s=20, what="a second candidate")
            await ground.expire(old)

            async def stands_again() -> bool:
                return bool(set(await candidates()) - {old})

            await aeventually(stands_again, within_s=20, what="it stands again")
            assert not elected.is_set()

    play(scenario)


def test_a_leaders_own_error_passes_as_it_is(play: Play, ground: Ground) -> None:
    async def scenario(store: Store) -> None:
        with pytest.raises(ZeroDivisionError):
            async with store.lead(f"{ground.prefix}office", "me", ttl_s=5):
                _ = 1 // 0
        assert await store.leader(f"{ground.prefix}office") is None

    play(scenario)
