"""Many units in few transactions: all checked first, each guarded, every file written once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import pytest
from typing_extensions import override

from inaetics.errors import Conflict, InaeticsError, InvalidInput, NotFound, UnitFileError
from inaetics.fleet import keys
from inaetics.fleet.batch import Wish
from inaetics.fleet.model import Desired
from inaetics.fleet.registry import Registry
from inaetics.store.fake import FakeStore
from inaetics.store.protocol import MAX_OPS, Guard, Op, Put
from tests.component.fleet.test_registry import run
from tests.support.fleet import service

OTHER = service("MachineMetadata=zone=x")
Meddle = Callable[[], Awaitable[object]]


class Watched(FakeStore):
    """Counts the transactions it commits; `before_commit` is called before one of them, by its number."""

    def __init__(self) -> None:
        super().__init__()
        self.commits: list[Sequence[Op]] = []
        self.before_commit: dict[int, Meddle] = {}

    @override
    async def commit(self, ops: Sequence[Op], *, guards: Sequence[Guard] = ()) -> int:
        meddle = self.before_commit.pop(len(self.commits), None)
        self.commits.append(ops)
        if meddle:
            await meddle()
        return await super().commit(ops, guards=guards)


def instances(count: int, text: str | None = None, desired: Desired = Desired.LAUNCHED) -> list[Wish]:
    return [Wish(name=f"a@{n}.service", text=text or service(), desired=desired) for n in range(count)]


def over(test: Callable[[Watched, Registry], Awaitable[None]]) -> None:
    async def with_store(*_: object) -> None:
        store = Watched()
        await test(store, Registry(store))

    run(with_store)


async def stored(store: FakeStore) -> set[str]:
    return {item.key.removeprefix(keys.UNITS) for item in (await store.list(keys.UNITS)).items}


def test_a_thousand_instances_are_eleven_transactions_and_one_file() -> None:
    async def test(store: Watched, registry: Registry) -> None:
        results = await registry.submit_many(instances(1000))
        assert len(await stored(store)) == 1000
        assert len(store.commits) == 11
        assert max(map(len, store.commits)) <= MAX_OPS
        files = [op for ops in store.commits for op in ops if isinstance(op, Put) and op.key.startswith(keys.FILES)]
        assert len(files) == 1
        assert [result.name for result in results] == [wish.name for wish in instances(1000)]
        assert results[-1].revision == store.revision

    over(test)


def test_the_same_again_writes_no_unit() -> None:
    async def test(store: Watched, registry: Registry) -> None:
        first = await registry.submit_many(instances(20))
        again = await registry.submit_many(instances(20))
        assert [result.revision for result in again] == [result.revision for result in first]
        assert not any(result.changed for result in again)
        assert {op.key.startswith(keys.FILES) for op in store.commits[-1]} == {True}, "a submit keeps its file"

    over(test)


def test_large_files_are_spread_over_transactions() -> None:
    async def test(store: Watched, registry: Registry) -> None:
        texts = [service() + f"# {n}\n" + ("#" * 499 + "\n") * 400 for n in range(8)]
        await registry.submit_many([Wish(name=f"b{n}.service", text=text) for n, text in enumerate(texts)])
        sizes = [sum(len(op.value) for op in ops if isinstance(op, Put)) for ops in store.commits]
        assert max(sizes) < 1_400_000
        assert len(await stored(store)) == 8

    over(test)


def test_desired_states_change_and_units_go_together() -> None:
    async def test(store: Watched, registry: Registry) -> None:
        await registry.submit_many(instances(3))
        wishes = [
            Wish(name="a@0.service", desired=Desired.LOADED),
            Wish(name="a@1.service", destroy=True),
            Wish(name="b.service", text=service()),
        ]
        await registry.submit_many(wishes)
        assert await stored(store) == {"a@0.service", "a@2.service", "b.service"}
        assert len(store.commits) == 2

    over(test)


def test_a_file_may_be_named_by_its_hash() -> None:
    async def test(store: Watched, registry: Registry) -> None:
        unit = await registry.submit("a@.service", service())
        (result,) = await registry.submit_many(
            [Wish(name="a@1.service", content_hash=unit.content_hash, desired=Desired.LAUNCHED)]
        )
        assert result.changed
        with pytest.raises(NotFound, match="give its text"):
            await registry.submit_many([Wish(name="a@2.service", content_hash="0" * 64)])

    over(test)


@pytest.mark.parametrize(
    ("bad", "error", "words"),
    [
        pytest.param(Wish(name="b.service", text="[Service\n"), UnitFileError, "line 1", id="a file that is none"),
        pytest.param(Wish(name="b", text=service()), InvalidInput, "no unit name", id="a name that is none"),
        pytest.param(Wish(name="there.service", text=OTHER), Conflict, "other content", id="other content"),
        pytest.param(Wish(name="b.service", desired=Desired.LOADED), NotFound, "no unit 'b", id="desired of nothing"),
        pytest.param(Wish(name="b.service", destroy=True), NotFound, "no unit 'b", id="nothing to destroy"),
        pytest.param(Wish(name="a@0.service", text=OTHER), InvalidInput, "named twice", id="one unit twice"),
        pytest.param(Wish(name="b.service"), InvalidInput, "nothing is asked", id="nothing asked"),
        pytest.param(
            Wish(name="there.service", destroy=True, desired=Desired.LOADED), InvalidInput, "one thing", id="both"
        ),
        pytest.param(
            Wish(name="a@.service", text=service(), desired=Desired.LAUNCHED), InvalidInput, "template", id="a template"
        ),
    ],
)
def test_one_bad_wish_changes_nothing(bad: Wish, error: type[InaeticsError], words: str) -> None:
    async def test(store: Watched, registry: Registry) -> None:
        await registry.submit("there.service", service())
        revision = store.revision
        with pytest.raises(error, match=words):
            await registry.submit_many([*instances(150), bad])
        assert store.revision == revision

    over(test)


def test_several_bad_wishes_are_told_together() -> None:
    async def test(_: Watched, registry: Registry) -> None:
        bad = [Wish(name=f"b{n}.service", destroy=True) for n in range(5)]
        with pytest.raises(NotFound, match=r"5 of 6 units are refused, and nothing was changed: .*b0.*and 2 more"):
            await registry.submit_many([*instances(1), *bad])

    over(test)


def test_what_somebody_else_changes_meanwhile_fails_alone() -> None:
    async def test(store: Watched, registry: Registry) -> None:
        async def meddle() -> None:
            await Registry(FakeStore.client(store)).submit("a@3.service", OTHER)

        store.before_commit[0] = meddle
        results = await registry.submit_many(instances(5))
        assert [result.name for result in results if result.error] == ["a@3.service"]
        assert isinstance(results[3].error, Conflict)
        assert len(await stored(store)) == 5

    over(test)


def test_a_file_collected_between_two_transactions_is_written_again() -> None:
    """The second transaction finds the file's revision changed, and no unit is left without its file."""

    async def test(store: Watched, registry: Registry) -> None:
        file = keys.file((await registry.submit("a@.service", service())).content_hash)
        other = FakeStore.client(store)

        async def collect() -> None:
            await other.delete(file)

        store.before_commit[2] = collect
        results = await registry.submit_many(instances(150))
        assert not any(result.error for result in results)
        assert await store.get(file) is not None

    over(test)
