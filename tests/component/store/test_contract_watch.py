"""What every store promises, tried on the real one and on the fake: watches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from inaetics.errors import Unavailable
from inaetics.store.background import beside
from inaetics.store.protocol import Changed, Delete, Put, Relisted, Store, Synced, WatchEvent
from tests.component.store.conftest import Ground, Scenario
from tests.component.store.record import judge, recording

Play = Callable[[Scenario], None]


def test_a_watch_begins_with_all_there_is(play: Play, ground: Ground) -> None:
    async def scenario(store: Store) -> None:
        revision = await store.put(f"{ground.prefix}a", b"1")
        first = await anext(aiter(store.watch(ground.prefix)))
        assert isinstance(first, Relisted)
        assert first.listing == await store.list(ground.prefix)
        assert first.listing.revision == revision

    play(scenario)


def test_a_watch_tells_every_change_of_its_prefix_and_when_a_commit_is_complete(play: Play, ground: Ground) -> None:
    async def scenario(store: Store) -> None:
        a, b = f"{ground.prefix}w1/a", f"{ground.prefix}w1/b"
        async with recording(store, f"{ground.prefix}w1/") as record:
            await record.begins()
            one = await store.put(a, b"1")
            await store.put(f"{ground.prefix}w10/a", b"not ours")
            two = await store.commit([Put(key=b, value=b"2"), Delete(key=a)])
            await record.reaches(two)
            told = [(change.key, change.revision, change.current and change.current.value) for change in record.changes]
            assert told == [(a, one, b"1"), (b, two, b"2"), (a, two, None)]
            assert record.events[-3:] == [*record.changes[-2:], Synced(revision=two)]
            assert list(judge(record.events)) == [b]

    play(scenario)


def test_a_watch_tells_each_key_that_a_prefix_deletion_took(play: Play, ground: Ground) -> None:
    async def scenario(store: Store) -> None:
        keys = [f"{ground.prefix}{n}" for n in range(3)]
        last = await store.commit([Put(key=key, value=b"") for key in keys])
        async with recording(store, ground.prefix) as record:
            await record.begins()
            assert await store.delete(ground.prefix, prefix=True) == 3
            await record.reaches(last + 1)
            assert record.changes == [Changed(key=key, revision=last + 1, current=None) for key in keys]

    play(scenario)


def test_a_reader_slower_than_the_writer_misses_nothing(play: Play, ground: Ground) -> None:
    async def scenario(store: Store) -> None:
        watch = aiter(store.watch(ground.prefix))
        events = [await anext(watch)]
        last = 0
        for n in range(300):
            last = await store.put(f"{ground.prefix}{n % 7}", str(n).encode())
        while not (isinstance(events[-1], Synced) and events[-1].revision == last):
            events.append(await anext(watch))
        judge(events)
        values = [event.current.value for event in events if isinstance(event, Changed) and event.current]
        assert values == [str(n).encode() for n in range(300)]

    play(scenario)


def test_writes_while_a_watch_is_being_read_are_told_too(play: Play, ground: Ground) -> None:
    async def scenario(store: Store) -> None:
        key = f"{ground.prefix}a"
        told: list[int] = []
        async for event in store.watch(ground.prefix):
            if len(told) < 5:
                await store.put(key, str(len(told)).encode())
            if isinstance(event, Changed) and event.current:
                told.append(int(event.current.value))
            if told and told[-1] == 4:
                break
        assert told == sorted(told)

    play(scenario)


def test_watches_share_a_connection_and_end_on_their_own(play: Play, ground: Ground) -> None:
    async def scenario(store: Store) -> None:
        a, b = f"{ground.prefix}a/", f"{ground.prefix}b/"
        async with recording(store, ground.prefix) as both:
            async with recording(store, a) as only_a, recording(store, b) as only_b:
                for record in (both, only_a, only_b):
                    await record.begins()
                await store.put(f"{a}x", b"")
                last = await store.put(f"{b}x", b"")
                await only_b.reaches(last)
            after = await store.put(f"{a}y", b"")
            await both.reaches(after)
        assert [change.key for change in both.changes] == [f"{a}x", f"{b}x", f"{a}y"]
        assert [change.key for change in only_b.changes] == [f"{b}x"]

    play(scenario)


def test_a_watch_goes_on_through_a_compaction(play: Play, ground: Ground) -> None:
    async def scenario(store: Store) -> None:
        async with recording(store, ground.prefix) as record:
            await record.begins()
            await record.reaches(await store.put(f"{ground.prefix}a", b"1"))
            await ground.compact()
            await record.reaches(await store.put(f"{ground.prefix}a", b"2"))
            assert [change.current and change.current.value for change in record.changes] == [b"1", b"2"]
            assert record.relistings == 1

    play(scenario)


def test_a_watch_is_silent_during_an_outage_and_goes_on_after_it(play: Play, ground: Ground) -> None:
    async def scenario(store: Store) -> None:
        async with recording(store, ground.prefix) as record:
            await record.begins()
            await record.reaches(await store.put(f"{ground.prefix}a", b"1"))
            before = len(record.events)
            async with ground.outage():
                await asyncio.sleep(0.2)
                assert len(record.events) == before
            await record.reaches(await store.put(f"{ground.prefix}a", b"2"))
            judge(record.events)

    play(scenario)


def test_closing_the_store_ends_its_watches_with_an_error(play: Play, ground: Ground) -> None:
    async def scenario(_: Store) -> None:
        begun = asyncio.Event()

        async def watch(store: Store) -> None:
            async for _ in store.watch(ground.prefix):
                begun.set()

        async with ground.open() as store:
            task = asyncio.get_running_loop().create_task(watch(store))
            await begun.wait()
        with pytest.raises(Unavailable, match="closed"):
            await task

    play(scenario)


def test_a_watcher_that_is_cancelled_is_cancelled(play: Play, ground: Ground) -> None:
    async def scenario(store: Store) -> None:
        ended = asyncio.Event()

        async def watch() -> None:
            try:
                async for _ in store.watch(ground.prefix):
                    pass
            except asyncio.CancelledError:
                ended.set()
                raise

        async with beside(watch(), name="watch"):
            await asyncio.sleep(0.1)
        assert ended.is_set()

    play(scenario)


def test_a_watch_after_a_revision_begins_with_what_was_there_then(play: Play, ground: Ground) -> None:
    async def scenario(store: Store) -> None:
        a, b = f"{ground.prefix}a", f"{ground.prefix}b"
        await store.put(a, b"1")
        then = await store.put(b, b"1")
        await store.put(a, b"2")
        await store.delete(b)
        last = await store.put(f"{ground.prefix}c", b"1")
        relisted, changes = await _until(store, ground.prefix, then, last)
        assert (relisted.listing.revision, [item.value for item in relisted.listing.items]) == (then, [b"1", b"1"])
        seen = [(change.key, change.current and change.current.value) for change in changes]
        assert seen == [(a, b"2"), (b, None), (f"{ground.prefix}c", b"1")]

    play(scenario)


def test_a_watch_after_a_compacted_revision_lists_what_is_there(play: Play, ground: Ground) -> None:
    async def scenario(store: Store) -> None:
        then = await store.put(f"{ground.prefix}a", b"1")
        await store.put(f"{ground.prefix}a", b"2")
        await ground.compact()
        async for event in store.watch(ground.prefix, after=then):
            assert isinstance(event, Relisted)
            assert event.listing.revision > then
            assert [item.value for item in event.listing.items] == [b"2"]
            break

    play(scenario)


async def _until(store: Store, prefix: str, after: int, last: int) -> tuple[Relisted, list[Changed]]:
    events: list[WatchEvent] = []
    async for event in store.watch(prefix, after=after):
        events.append(event)
        if isinstance(event, Changed) and event.revision == last:
            break
    assert isinstance(events[0], Relisted)
    return events[0], [event for event in events if isinstance(event, Changed)]
