"""Versions of the mapping: one transaction each, of which the second of two fails; back as a whole or at one target."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from inaetics.api.provisioning import Provisioning
from inaetics.api.provisioning_wire import VersionRequest
from inaetics.bundles.records import CURRENT, KEPT_VERSIONS, Entry, Standing, standing_key
from inaetics.errors import Conflict, InaeticsError, InvalidInput, NotFound
from inaetics.store.fake import FakeStore
from inaetics.store.protocol import Guard, Listing, Op
from tests.unit.api.mapping_desk import apply, artifact, gives, rule, with_desk


def test_versions_are_numbered_and_remember_who_applied_them() -> None:
    async def check(desk: Provisioning) -> None:
        assert await apply(desk, rule("x", "a")) == 1
        assert await apply(desk, rule("x", "b")) == 2
        assert [(each.version, each.by, each.at, each.note) for each in await desk.versions()] == [
            (2, "anna", 1000.0, "applied"),
            (1, "anna", 1000.0, "applied"),
        ]
        assert (await desk.version(1)).text == rule("x", "a")
        assert (await desk.version(0)).version == 2

    with_desk(check, artifact("a"), artifact("b"))


def test_the_second_of_two_who_decided_from_one_version_is_told_who_was_first() -> None:
    async def check(desk: Provisioning) -> None:
        await apply(desk, rule("x", "a"))
        await apply(desk, rule("x", "b"), expected=1)
        with pytest.raises(Conflict, match="version 2 is in force now, applied by anna, yours was made from version 1"):
            await apply(desk, rule("x", "a", "b"), expected=1, by="berta")
        assert await gives(desk, "x") == ["b-1.0.0"]

    with_desk(check, artifact("a"), artifact("b"))


def test_two_at_once_make_one_version_and_one_conflict() -> None:
    async def check(desk: Provisioning) -> None:
        async def attempt(by: str) -> str:
            try:
                await apply(desk, rule("x", "a"), by=by)
            except Conflict:
                return "conflict"
            return "done"

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(attempt(by)) for by in ("anna", "berta")]
        assert sorted(task.result() for task in tasks) == ["conflict", "done"]
        assert [each.version for each in await desk.versions()] == [1]

    with_desk(check, artifact("a"), store=_Slow())


class _Slow(FakeStore):
    """Lets others in between a look and a commit."""

    @override
    async def list(self, prefix: str) -> Listing:
        await asyncio.sleep(0)
        return await super().list(prefix)


def test_a_request_that_is_sent_again_because_its_answer_was_lost_is_no_conflict() -> None:
    class Lossy(FakeStore):
        lossy = False

        @override
        async def commit(self, ops: Sequence[Op], *, guards: Sequence[Guard] = ()) -> int:
            revision = await super().commit(ops, guards=guards)
            if self.lossy:
                self.lossy = False
                await super().commit(ops, guards=guards)
            return revision

    store = Lossy()

    async def check(desk: Provisioning) -> None:
        store.lossy = True
        assert await apply(desk, rule("x", "a")) == 1

    with_desk(check, artifact("a"), store=store)


def test_pushing_a_newer_bundle_changes_nothing_until_the_mapping_is_applied_anew() -> None:
    async def check(desk: Provisioning) -> None:
        await apply(desk, rule("x", "a"))
        await desk.put_artifact(artifact("a", "1.1.0", "2"))
        assert await gives(desk, "x") == ["a-1.0.0"]
        made = await desk.change(VersionRequest(plan=True))
        assert [each.changed for each in made.changes] == [(("a", "1.0.0", "1.1.0"),)]
        assert await gives(desk, "x") == ["a-1.0.0"], "a plan changes nothing"
        await desk.change(VersionRequest())
        assert await gives(desk, "x") == ["a-1.1.0"]
        await desk.change(VersionRequest(back_to=1))
        assert await gives(desk, "x") == ["a-1.0.0"], "the bundles of then, not the newest"

    with_desk(check, artifact("a"))


def test_back_without_a_number_is_the_version_before() -> None:
    async def check(desk: Provisioning) -> None:
        await apply(desk, rule("x", "a"))
        with pytest.raises(InvalidInput, match="nothing before it"):
            await desk.change(VersionRequest(back_to=0))
        await apply(desk, rule("x", "b"))
        made = await desk.change(VersionRequest(back_to=0))
        assert (made.version.note, made.version.version) == ("back to version 1", 3)
        assert await gives(desk, "x") == ["a-1.0.0"]
        with pytest.raises(InvalidInput, match="is in force"):
            await desk.change(VersionRequest(back_to=3))
        with pytest.raises(NotFound, match="version 99 of the mapping is not kept"):
            await desk.change(VersionRequest(back_to=99))

    with_desk(check, artifact("a"), artifact("b"))


def test_one_target_goes_back_and_stays_there_until_it_is_released() -> None:
    async def check(desk: Provisioning) -> None:
        await apply(desk, rule("*", "a"))
        await apply(desk, rule("*", "b"))
        await apply(desk, rule("*", "b") + "\n# the same for everybody")
        made = await desk.change(VersionRequest(back_to=0, target="x", by="anna"))
        assert made.version.note == "x held at version 1", "the youngest that gave it something else"
        assert (await gives(desk, "x"), await gives(desk, "y")) == (["a-1.0.0"], ["b-1.0.0"])
        await apply(desk, rule("*", "a", "b"))
        assert await gives(desk, "x") == ["a-1.0.0"]
        with pytest.raises(NotFound, match="'y' is not held"):
            await desk.change(VersionRequest(release=True, target="y"))
        await desk.change(VersionRequest(release=True, target="x"))
        assert await gives(desk, "x") == ["a-1.0.0", "b-1.0.0"]

    with_desk(check, artifact("a"), artifact("b"))


@pytest.mark.parametrize(
    ("asked", "kind", "words"),
    [
        pytest.param({"text": rule("x", "b")}, InvalidInput, "the mapping: rule 'x': no bundle", id="unknown bundle"),
        pytest.param({"text": "= 1"}, InvalidInput, "the mapping: ", id="no TOML"),
        pytest.param({"text": "rules = []", "back_to": 1}, InvalidInput, "one thing", id="two wishes"),
        pytest.param({"target": "x"}, InvalidInput, "what about target", id="half a wish"),
        pytest.param({"back_to": 0, "target": "../x"}, InvalidInput, "is no target", id="a target that is a path"),
        pytest.param({"text": rule("x", "a", more=f"# {'x' * 1_000_000}")}, InvalidInput, "too large", id="too large"),
    ],
)
def test_what_cannot_be_followed_is_refused_and_changes_nothing(
    asked: dict[str, object], kind: type[InaeticsError], words: str
) -> None:
    async def check(desk: Provisioning) -> None:
        await apply(desk, rule("x", "a"))
        with pytest.raises(kind, match=words):
            await desk.change(msgspec.convert(asked, VersionRequest))
        assert (await desk.version(0)).version == 1

    with_desk(check, artifact("a"))


def test_without_any_version_there_is_nothing_to_go_back_to_or_to_apply_anew() -> None:
    async def check(desk: Provisioning) -> None:
        for asked in (VersionRequest(), VersionRequest(back_to=0), VersionRequest(back_to=1, target="x")):
            with pytest.raises(NotFound, match="no version yet"):
                await desk.change(asked)

    with_desk(check, artifact("a"))


def test_a_version_of_older_software_is_read_and_followed_by_one_that_says_everything() -> None:
    store = FakeStore()

    async def check(desk: Provisioning) -> None:
        old = {"version": 7, "text": rule("x", "a") + rule("y", "a"), "lock": {"a": "1.0.0"}}
        held = {"y": {"version": 3, "bundles": ["b@1.0.0"]}}
        await store.put(CURRENT, msgspec.json.encode(old | {"held": held}))
        made = await desk.change(VersionRequest(replaced=("a@1.0.0",)))
        assert made.version.version == 8
        assert made.changes[0].empty, "it gives what was given before"
        assert (await desk.known()).version == made.version
        assert made.version.archives == {"a@1.0.0": "1" * 64}
        assert made.version.held["y"].archives == {"b@1.0.0": "2" * 64}

    with_desk(check, artifact("a"), artifact("b", digit="2"), store=store)


def test_history_is_bounded() -> None:
    async def check(desk: Provisioning) -> None:
        for _ in range(KEPT_VERSIONS + 3):
            await apply(desk, rule("x", "a"))
        numbers = [each.version for each in await desk.versions()]
        assert numbers == list(range(KEPT_VERSIONS + 3, 3, -1))

    with_desk(check, artifact("a"))


def test_a_plan_covers_every_target_that_is_known_and_says_why() -> None:
    store = FakeStore()

    async def check(desk: Provisioning) -> None:
        standing = Standing(last=Entry(at=1, event="installed", version="1-x"))
        await store.put(standing_key("celix@7"), msgspec.json.encode(standing))
        await apply(desk, rule("celix@*", "a"))
        text = rule("celix@*", "b") + rule("felix@1", "a")
        made = await desk.change(VersionRequest(text=text, plan=True))
        assert [(each.target, each.added, each.removed, each.why) for each in made.changes] == [
            ("celix@7", ("b@1.0.0",), ("a@1.0.0",), "rule 'celix@*'"),
            ("felix@1", ("a@1.0.0",), (), "rule 'felix@1'"),
        ]

    with_desk(check, artifact("a"), artifact("b"), store=store)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["anna", "berta"]), st.sampled_from("ab"), st.integers(0, 3), st.booleans()),
        max_size=12,
    )
)
def test_every_version_was_made_from_the_one_before_whoever_asks_in_whatever_order(
    wishes: list[tuple[str, str, int, bool]],
) -> None:
    """`expected` lags behind by so many versions: exactly those that do not lag get through."""

    async def check(desk: Provisioning) -> None:
        done = 0
        for by, bundle, lag, back in wishes:
            asked = VersionRequest(
                text=None if back else rule("x", bundle), back_to=0 if back else None, expected=done - lag, by=by
            )
            try:
                made = await desk.change(asked)
            except InaeticsError:
                assert lag > 0 or (back and done < 2), "refused although nothing had changed"
            else:
                assert lag == 0
                done += 1
                assert made.version.version == done
        numbers = [each.version for each in await desk.versions()]
        assert numbers == list(range(done, 0, -1))

    with_desk(check, artifact("a"), artifact("b"))
