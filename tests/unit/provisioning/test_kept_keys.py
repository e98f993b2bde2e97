"""What shall stand in etcd stands there again after whatever happened to it, and it is known while it does not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from inaetics.errors import Unavailable
from inaetics.override import override
from inaetics.provisioning.etcd_thread import EtcdThread
from inaetics.provisioning.kept_keys import KeptKeys
from inaetics.store.fake import FakeStore
from inaetics.store.protocol import Guard, Op

PREFIX = "/ours/"
WANTED = {f"{PREFIX}one": b"1", f"{PREFIX}two": b"2"}


class BadMoment(FakeStore):
    """At its first write, `happens` is done."""

    def __init__(self) -> None:
        super().__init__()
        self.happens: Callable[[], Awaitable[None] | None] | None = None

    @override
    async def commit(self, ops: Sequence[Op], *, guards: Sequence[Guard] = ()) -> int:
        happens, self.happens = self.happens, None
        if happens is not None and (went_on := happens()) is not None:
            await went_on
        return await super().commit(ops, guards=guards)


def run(story: Callable[[BadMoment, KeptKeys], Awaitable[None]], *, happens: str = "", check_s: float = 30.0) -> None:
    store = BadMoment()
    moments: dict[str, Callable[[], Awaitable[None] | None] | None] = {
        "": None,
        "cancelled": _cancelled,
        "lease": lambda: _expire_all(store),
        "late": lambda: _expire_and_fail_late(store),
    }
    store.happens = moments[happens]

    @asynccontextmanager
    async def unused():  # type: ignore[no-untyped-def]  # the job runs here, not on a thread of its own
        yield store

    async def main() -> None:
        thread = EtcdThread(unused, failed=lambda reason: None)
        thread.loop = asyncio.get_running_loop()
        keys = KeptKeys(thread, PREFIX, ttl_s=5.0, check_s=check_s)
        keys.want(WANTED)
        job = asyncio.create_task(keys.keep(store))  # noqa: TID251 - cancelled and awaited below
        try:
            await story(store, keys)
        finally:
            job.cancel()
            await asyncio.wait([job])
        assert (await store.list(PREFIX)).items == ()
        assert keys.missing(0.0) == len(keys.wanted)

    asyncio.run(main())


def _cancelled() -> None:
    raise asyncio.CancelledError


def _expire_all(store: BadMoment) -> None:
    for lease in list(store._data.leases):
        store.expire(lease)


async def _expire_and_fail_late(store: BadMoment) -> None:
    """The lease goes while a write is under way, which is given up for that and fails on its way out."""
    _expire_all(store)
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        raise Unavailable("cannot write: the store does not answer") from None


async def becomes(store: BadMoment, wanted: dict[str, bytes], *, not_under: int = 0) -> int:
    """Wait until exactly `wanted` is there, under one lease; returns that."""
    async with asyncio.timeout(30):
        while True:
            items = (await store.list(PREFIX)).items
            leases = {item.lease for item in items}
            if {item.key: item.value for item in items} == wanted and len(leases) == 1 and not_under not in leases:
                return leases.pop()
            await asyncio.sleep(0.01)


async def lacks(keys: KeptKeys, count: int) -> None:
    """Wait until so many are known to be missing."""
    async with asyncio.timeout(30):
        while keys.missing(0.0) != count:  # noqa: ASYNC110 - there is nothing that tells
            await asyncio.sleep(0.01)


def test_late_write_under_the_lost_lease_does_not_take_the_keys_away() -> None:
    async def story(store: BadMoment, keys: KeptKeys) -> None:
        mine = await becomes(store, WANTED)
        async with store.client().lease(5.0) as before:  # lost to us, and alive in etcd
            for key, value in WANTED.items():
                await store.client().put(key, value, lease=before.id)
            assert await becomes(store, WANTED, not_under=before.id) == mine
        assert await becomes(store, WANTED) == mine
        await lacks(keys, 0)

    run(story)


def test_late_write_whose_lease_ends_at_once_is_written_over() -> None:
    async def story(store: BadMoment, keys: KeptKeys) -> None:
        mine = await becomes(store, WANTED)
        other = store.client()
        async with other.lease(5.0) as before:
            await other.put(f"{PREFIX}one", b"1", lease=before.id)
            other.expire(before.id)
        assert await becomes(store, WANTED) == mine

    run(story)


@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(lambda store: store.delete(PREFIX, prefix=True), id="late-delete"),
        pytest.param(lambda store: store.put(f"{PREFIX}one", b"old"), id="late-value"),
        pytest.param(lambda store: store.put(f"{PREFIX}gone", b"old"), id="late-write-of-a-withdrawn-one"),
    ],
)
def test_what_a_late_write_left_is_put_right(harm: Callable[[FakeStore], Awaitable[int]]) -> None:
    async def story(store: BadMoment, keys: KeptKeys) -> None:
        mine = await becomes(store, WANTED)
        await harm(store.client())
        assert await becomes(store, WANTED) == mine

    run(story)


@pytest.mark.parametrize("happens", ["lease", "cancelled", "late"])
def test_what_ends_the_first_write_does_not_end_the_registration(happens: str) -> None:
    async def story(store: BadMoment, keys: KeptKeys) -> None:
        await becomes(store, WANTED)
        await lacks(keys, 0)

    run(story, happens=happens)


def test_export_added_while_it_registers_again_is_there() -> None:
    more = WANTED | {f"{PREFIX}three": b"3"}

    async def story(store: BadMoment, keys: KeptKeys) -> None:
        mine = await becomes(store, WANTED)
        store.happens = lambda: keys.want(more)
        store.expire(mine)
        await becomes(store, more, not_under=mine)
        await lacks(keys, 0)

    run(story)


def test_change_that_no_watch_told_is_found_by_the_next_listing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def deaf(self: KeptKeys, store: FakeStore, there: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(KeptKeys, "_watch", deaf)

    async def story(store: BadMoment, keys: KeptKeys) -> None:
        await becomes(store, WANTED)
        await store.client().delete(PREFIX, prefix=True)
        await becomes(store, WANTED)

    run(story, check_s=0.05)


def test_what_is_not_there_is_known_and_only_after_a_while() -> None:
    async def story(store: BadMoment, keys: KeptKeys) -> None:
        mine = await becomes(store, WANTED)
        await lacks(keys, 0)
        with store.outage():
            _expire_all(store)
            await lacks(keys, 2)
            assert keys.missing(60.0) == 0
        await becomes(store, WANTED, not_under=mine)
        await lacks(keys, 0)

    run(story)
