"""What people say of units, written to the store; and the mirror that shows what was written."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from inaetics.errors import Conflict, InvalidInput, NotFound, Unavailable, UnitFileError
from inaetics.fleet import keys
from inaetics.fleet.fold import Change, UnitChanged
from inaetics.fleet.mirror import Mirror
from inaetics.fleet.model import Desired, UnitName
from inaetics.fleet.registry import Registry
from inaetics.store.fake import FakeStore
from inaetics.store.protocol import Put
from tests.support.fleet import service

A = UnitName("a.service")
OTHER = service("MachineMetadata=zone=x")


def run(test: Callable[[FakeStore, Registry, Mirror], Awaitable[None]]) -> None:
    async def main() -> None:
        store = FakeStore()
        mirror = Mirror(store)
        async with asyncio.TaskGroup() as group:
            following = group.create_task(mirror.run())
            await mirror.ready()
            await test(store, Registry(store), mirror)
            following.cancel()

    asyncio.run(main())


def test_a_submitted_unit_is_read_back_at_its_revision() -> None:
    async def test(_: FakeStore, registry: Registry, mirror: Mirror) -> None:
        unit = await registry.submit(A, service(), desired=Desired.LOADED)
        snapshot = await mirror.reached(unit.revision)
        assert snapshot.units[A] == unit

    run(test)


def test_a_submit_is_one_transaction() -> None:
    async def test(store: FakeStore, registry: Registry, mirror: Mirror) -> None:
        before = store.revision
        unit = await registry.submit(A, service())
        assert unit.revision == store.revision == before + 1

    run(test)


def test_the_same_content_may_be_submitted_again_and_keeps_what_is_wanted() -> None:
    async def test(_: FakeStore, registry: Registry, mirror: Mirror) -> None:
        await registry.submit(A, service(), desired=Desired.LAUNCHED)
        again = await registry.submit(A, service())
        assert again.desired is Desired.LAUNCHED

    run(test)


def test_other_content_is_refused_unless_it_is_to_replace() -> None:
    async def test(_: FakeStore, registry: Registry, mirror: Mirror) -> None:
        await registry.submit(A, service(), desired=Desired.LAUNCHED)
        with pytest.raises(Conflict, match="other content exists under that name"):
            await registry.submit(A, OTHER)
        unit = await registry.submit(A, OTHER, replace=True)
        assert (unit.generation, unit.desired) == (2, Desired.LAUNCHED)

    run(test)


def test_each_submit_writes_the_file_again() -> None:
    async def test(store: FakeStore, registry: Registry, mirror: Mirror) -> None:
        first = await registry.submit(A, service())
        second = await registry.submit("b.service", service())
        item = await store.get(keys.file(first.content_hash))
        assert item
        assert item.mod_revision == second.revision

    run(test)


def test_units_that_are_not_there_are_named() -> None:
    async def test(_: FakeStore, registry: Registry, mirror: Mirror) -> None:
        with pytest.raises(NotFound, match=r"no unit 'a\.service' is submitted"):
            await registry.set_desired(A, Desired.LAUNCHED)
        with pytest.raises(NotFound, match=r"no unit 'a\.service' is submitted"):
            await registry.destroy(A)

    run(test)


def test_a_wish_that_is_true_already_writes_nothing() -> None:
    async def test(store: FakeStore, registry: Registry, mirror: Mirror) -> None:
        unit = await registry.submit(A, service(), desired=Desired.LAUNCHED)
        assert await registry.set_desired(A, Desired.LAUNCHED) == unit.revision == store.revision

    run(test)


def test_a_template_is_not_started() -> None:
    async def test(_: FakeStore, registry: Registry, mirror: Mirror) -> None:
        await registry.submit("a@.service", service())
        with pytest.raises(InvalidInput, match=r"start an instance of it: a@1\.service"):
            await registry.set_desired("a@.service", Desired.LAUNCHED)

    run(test)


@pytest.mark.parametrize(
    ("name", "text", "error", "words"),
    [
        pytest.param("a", service(), InvalidInput, "no unit name", id="a name without a type"),
        pytest.param("a/b.service", service(), InvalidInput, "no unit name", id="a name with a slash"),
        pytest.param("a.timer", service(), UnitFileError, "by the clock", id="a type hosts cannot run"),
        pytest.param("a.service", "[Service\n", UnitFileError, "line 1", id="a file that is none"),
        pytest.param("a.service", service("Colour=red"), UnitFileError, "Colour", id="an option nobody knows"),
        pytest.param("a.service", service("OnLost=stop"), UnitFileError, "TimeoutStopSec=1 or", id="a stop too long"),
        pytest.param("a.service", "#" * 300_000, InvalidInput, "at most 262144", id="a file of 300 kB"),
        pytest.param(
            "a.service",
            service("Global=yes", "MachineOf=b.service"),
            UnitFileError,
            "contradicts",
            id="a contradiction",
        ),
    ],
)
def test_what_no_machine_could_run_is_refused_and_leaves_nothing(
    name: str, text: str, error: type[Exception], words: str
) -> None:
    async def test(store: FakeStore, registry: Registry, mirror: Mirror) -> None:
        with pytest.raises(error, match=words):
            await registry.submit(name, text)
        assert not (await store.list(keys.PREFIX)).items

    run(test)


def test_of_two_who_submit_different_content_at_once_one_is_refused() -> None:
    async def test(_: FakeStore, registry: Registry, mirror: Mirror) -> None:
        outcomes: list[str] = []

        async def submit(text: str) -> None:
            try:
                await registry.submit(A, text)
                outcomes.append("taken")
            except Conflict:
                outcomes.append("refused")

        async with asyncio.TaskGroup() as group:
            for text in (service(), OTHER):
                group.create_task(submit(text))
        assert sorted(outcomes) == ["refused", "taken"]

    run(test)


def test_writers_at_the_same_time_lose_nothing() -> None:
    async def test(_: FakeStore, registry: Registry, mirror: Mirror) -> None:
        await registry.submit(A, service())
        async with asyncio.TaskGroup() as group:
            wishes = [group.create_task(registry.set_desired(A, desired)) for desired in Desired]
        last = max(wish.result() for wish in wishes)
        snapshot = await mirror.reached(last)
        assert snapshot.units[A].generation >= 2

    run(test)


def test_the_mirror_never_shows_half_a_transaction() -> None:
    async def test(store: FakeStore, registry: Registry, mirror: Mirror) -> None:
        await registry.submit("x.service", service())
        record = await store.get(keys.unit("x.service"))
        assert record
        torn: list[int] = []

        def look(_: object) -> None:
            units = mirror.snapshot.units
            if ("a.service" in units) != ("b.service" in units):
                torn.append(mirror.snapshot.revision)

        with mirror.listening(look):
            revision = await store.commit(
                [Put(key=keys.unit(name), value=record.value) for name in ("a.service", "b.service")]
            )
            await mirror.reached(revision)
        assert not torn

    run(test)


def test_listeners_hear_each_change_once() -> None:
    async def test(_: FakeStore, registry: Registry, mirror: Mirror) -> None:
        heard: list[Change] = []
        with mirror.listening(lambda changes: heard.extend(changes or ())):
            unit = await registry.submit(A, service())
            await mirror.reached(unit.revision)
        assert heard == [UnitChanged(name=A, old=None, new=unit)]

    run(test)


def test_a_revision_that_does_not_come_is_an_error_that_says_so() -> None:
    async def test(store: FakeStore, registry: Registry, mirror: Mirror) -> None:
        with pytest.raises(Unavailable, match="the store has shown only revision"):
            await mirror.reached(store.revision + 1, within_s=0.05)

    run(test)


def test_after_a_compaction_the_mirror_shows_what_is_stored() -> None:
    async def test(store: FakeStore, registry: Registry, mirror: Mirror) -> None:
        await registry.submit(A, service())
        away = store.client()
        late = Mirror(away)
        async with asyncio.TaskGroup() as group:
            following = group.create_task(late.run())
            await late.ready()
            with away.outage():
                await registry.destroy(A)
                unit = await registry.submit("b.service", service())
                store.compact()
            snapshot = await late.reached(unit.revision)
            assert set(snapshot.units) == {"b.service"}
            following.cancel()

    run(test)
