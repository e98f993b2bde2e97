"""What every store promises (`inaetics.store.protocol`), tried on the real one and on the fake: keys and commits."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from inaetics.errors import Conflict, InvalidInput, LeaseLost, Unavailable
from inaetics.store.protocol import MAX_GUARDS, MAX_OPS, CreatedAt, Delete, ModIs, Op, Put, Store, chunks
from tests.component.store.conftest import Ground, Scenario

Play = Callable[[Scenario], None]


def test_a_key_that_was_never_put_is_none(play: Play, ground: Ground) -> None:
    async def scenario(store: Store) -> None:
        assert await store.get(f"{ground.prefix}a") is None
        assert (await store.list(ground.prefix)).items == ()

    play(scenario)


def test_a_key_carries_the_revisions_of_its_first_and_its_last_put(play: Play, ground: Ground) -> None:
    async def scenario(store: Store) -> None:
        key = f"{ground.prefix}a"
        created = await store.put(key, b"\x00\xff")
        changed = await store.put(key, b"")
        item = await store.get(key)
        assert item is not None
        assert (item.value, item.create_revision, item.mod_revision, item.lease) == (b"", created, changed, 0)
        assert created < changed

    play(scenario)


def test_a_key_put_again_after_its_deletion_was_created_anew(play: Play, ground: Ground) -> None:
    async def scenario(store: Store) -> None:
        key = f"{ground.prefix}a"
        await store.put(key, b"1")
        await store.delete(key)
        created = await store.put(key, b"2")
        item = await store.get(key)
        assert item is not None
        assert item.create_revision == item.mod_revision == created

    play(scenario)


def test_a_listing_holds_the_prefix_in_key_order_at_one_revision(play: Play, ground: Ground) -> None:
    async def scenario(store: Store) -> None:
        last = 0
        for name in ("w10/b", "w1/é", "w1/b", "w1/a", "w1", "w2/a"):
            last = await store.put(ground.prefix + name, name.encode())
        listing = await store.list(f"{ground.prefix}w1/")
        assert [item.value.decode() for item in listing.items] == ["w1/a", "w1/b", "w1/é"]
        assert listing.revision == last

    play(scenario)


def test_the_empty_prefix_lists_every_key(play: Play, ground: Ground) -> None:
    async def scenario(store: Store) -> None:
        keys = {f"{ground.prefix}a", f"~{ground.prefix}"}
        for key in keys:
            await store.put(key, b"")
        assert keys <= {item.key for item in (await store.list("")).items}

    play(scenario)


def test_a_listing_may_be_larger_than_four_megabytes(play: Play, ground: Ground) -> None:
    async def scenario(store: Store) -> None:
        for n in range(6):
            await store.put(f"{ground.prefix}{n}", b"x" * 1_000_000)
        assert len((await store.list(ground.prefix)).items) == 6
        await store.delete(ground.prefix, prefix=True)

    play(scenario)


def test_delete_says_how_many_went(play: Play, ground: Ground) -> None:
    async def scenario(store: Store) -> None:
        for name in ("w1", "w1/a", "w1/b", "w10/a"):
            await store.put(ground.prefix + name, b"")
        assert await store.delete(f"{ground.prefix}w1") == 1
        assert await store.delete(f"{ground.prefix}w1") == 0
        assert await store.delete(f"{ground.prefix}w1/", prefix=True) == 2
        assert [item.key for item in (await store.list(ground.prefix)).items] == [f"{ground.prefix}w10/a"]

    play(scenario)


def test_the_empty_key_is_refused(play: Play) -> None:
    async def scenario(store: Store) -> None:
        for call in (store.get(""), store.put("", b""), store.delete(""), store.commit([Put(key="", value=b"")])):
            with pytest.raises(InvalidInput, match="empty key"):
                await call

    play(scenario)


def test_a_commit_writes_all_at_one_revision(play: Play, ground: Ground) -> None:
    async def scenario(store: Store) -> None:
        a, b, c = (f"{ground.prefix}{name}" for name in "abc")
        await store.put(c, b"old")
        revision = await store.commit([Put(key=a, value=b"1"), Put(key=b, value=b"2"), Delete(key=c)])
        listing = await store.list(ground.prefix)
        assert [(item.key, item.value, item.mod_revision) for item in listing.items] == [
            (a, b"1", revision),
            (b, b"2", revision),
        ]
        assert listing.revision == revision

    play(scenario)


@pytest.mark.parametrize("holds", [True, False])
@pytest.mark.parametrize("guard", ["unchanged", "absent", "created"])
def test_a_commit_writes_if_its_guards_hold_and_else_nothing(
    play: Play, ground: Ground, guard: str, holds: bool
) -> None:
    async def scenario(store: Store) -> None:
        key, target = f"{ground.prefix}guarded", f"{ground.prefix}target"
        match guard, holds:
            case "unchanged", _:
                condition: ModIs | CreatedAt = ModIs(key=key, revision=await store.put(key, b"1"))
                if not holds:
                    await store.put(key, b"2")
            case "absent", _:
                condition = ModIs(key=key, revision=0)
                if not holds:
                    await store.put(key, b"1")
            case _:
                condition = CreatedAt(key=key, revision=await store.put(key, b"1"))
                await store.put(key, b"changed, not created")
                if not holds:
                    await store.delete(key)
                    await store.put(key, b"created anew")
        commit = store.commit([Put(key=target, value=b"x")], guards=[ModIs(key=target, revision=0), condition])
        if holds:
            await commit
        else:
            with pytest.raises(Conflict, match="guarded"):
                await commit
        assert (await store.get(target) is not None) is holds

    play(scenario)


def test_a_commit_of_nothing_tells_the_revision_if_its_guards_hold(play: Play, ground: Ground) -> None:
    async def scenario(store: Store) -> None:
        key = f"{ground.prefix}a"
        revision = await store.put(key, b"")
        assert await store.commit([]) == revision
        assert await store.commit([], guards=[ModIs(key=key, revision=revision)]) == revision
        with pytest.raises(Conflict):
            await store.commit([], guards=[ModIs(key=key, revision=0)])

    play(scenario)


def test_a_commit_that_changes_nothing_makes_no_revision(play: Play, ground: Ground) -> None:
    async def scenario(store: Store) -> None:
        revision = await store.put(f"{ground.prefix}a", b"")
        assert await store.commit([Delete(key=f"{ground.prefix}b")]) == revision

    play(scenario)


_TWICE: dict[str, Sequence[Op]] = {
    "put, put": [Put(key="a/b", value=b"1"), Put(key="a/b", value=b"2")],
    "put, delete": [Put(key="a/b", value=b"1"), Delete(key="a/b")],
    "delete, put": [Delete(key="a/b"), Put(key="a/b", value=b"1")],
    "put, delete its prefix": [Put(key="a/b", value=b"1"), Delete(key="a/", prefix=True)],
    "delete its prefix, put": [Delete(key="a/", prefix=True), Put(key="a/b", value=b"1")],
    "delete a prefix of the prefix": [Delete(key="a/", prefix=True), Delete(key="a/b/", prefix=True)],
    "delete a prefix twice": [Delete(key="a/", prefix=True), Delete(key="a/", prefix=True)],
}


@pytest.mark.parametrize("ops", _TWICE.values(), ids=_TWICE.keys())
def test_a_commit_that_touches_a_key_twice_is_refused(play: Play, ops: Sequence[Op]) -> None:
    async def scenario(store: Store) -> None:
        with pytest.raises(InvalidInput, match="two operations"):
            await store.commit(ops)

    play(scenario)


def test_a_full_commit_with_all_its_guards_is_taken_and_one_more_refused(play: Play, ground: Ground) -> None:
    async def scenario(store: Store) -> None:
        ops = [Put(key=f"{ground.prefix}{n}", value=b"") for n in range(MAX_OPS + 1)]
        guards = [ModIs(key=f"{ground.prefix}{n}", revision=0) for n in range(MAX_GUARDS + 1)]
        with pytest.raises(InvalidInput, match="chunks"):
            await store.commit(ops)
        with pytest.raises(InvalidInput, match="conditions"):
            await store.commit([], guards=guards)
        await store.commit(ops[:MAX_OPS], guards=guards[:MAX_GUARDS])
        assert [len(chunk) for chunk in chunks(ops)] == [MAX_OPS, 1]

    play(scenario)


def test_a_write_under_a_lease_that_is_gone_fails_as_a_whole(play: Play, ground: Ground) -> None:
    async def scenario(store: Store) -> None:
        async with store.lease(5) as lease:
            pass
        a, b = f"{ground.prefix}a", f"{ground.prefix}b"
        with pytest.raises(LeaseLost):
            await store.commit([Put(key=a, value=b""), Put(key=b, value=b"", lease=lease.id)])
        with pytest.raises(LeaseLost):
            await store.put(b, b"", lease=lease.id)
        assert (await store.list(ground.prefix)).items == ()

    play(scenario)


def test_a_closed_store_says_so(play: Play, ground: Ground) -> None:
    async def scenario(_: Store) -> None:
        async with ground.open() as store:
            await store.put(f"{ground.prefix}a", b"")
        for call in (store.get("a"), store.commit([]), anext(aiter(store.watch("a")))):
            with pytest.raises(Unavailable, match="closed"):
                await call

    play(scenario)


def test_calls_during_an_outage_raise_unavailable(play: Play, ground: Ground) -> None:
    async def scenario(store: Store) -> None:
        key = f"{ground.prefix}a"
        await store.put(key, b"")
        async with ground.outage():
            with pytest.raises(Unavailable, match=f"cannot get '{key}'"):
                await store.get(key)
        assert await store.get(key) is not None

    play(scenario)
