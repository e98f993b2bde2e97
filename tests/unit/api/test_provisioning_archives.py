"""Archives of bundles: one for each version, signed; one that takes another's place reaches nobody by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest

from inaetics.api.provisioning import Provisioning
from inaetics.api.provisioning_wire import VersionRequest
from inaetics.bundles.records import KEPT_VERSIONS, REPLACED, Artifact
from inaetics.errors import Conflict, InvalidInput, NotFound, Unavailable
from inaetics.store.fake import FakeStore
from tests.support.signing import signing
from tests.unit.api.mapping_desk import apply, archive, artifact, gives, rule, with_desk


def test_nothing_is_put_in_force_whose_archives_cannot_be_had() -> None:
    class Away:
        async def check(self, artifacts: Iterable[Artifact]) -> None:
            if any(each.name == "b" for each in artifacts):
                raise Unavailable("the registry does not answer")

    async def main() -> None:
        store = FakeStore()
        believing = Provisioning(store)
        await believing.put_artifact(artifact("a"))
        await believing.put_artifact(artifact("b"))
        desk = Provisioning(store, archives=Away())
        assert await apply(desk, rule("x", "a")) == 1
        with pytest.raises(Unavailable, match="does not answer"):
            await apply(desk, rule("x", "a", "b"))
        assert await gives(desk, "x") == ["a-1.0.0"]
        with pytest.raises(Unavailable, match="does not answer"):
            await desk.put_artifact(artifact("b", "2.0.0"))

    asyncio.run(main())


def test_a_version_of_a_bundle_has_one_archive_unless_it_is_replaced() -> None:
    async def check(desk: Provisioning) -> None:
        assert await desk.put_artifact(artifact("a")) is False
        with pytest.raises(Conflict, match=r"a-1\.0\.0 is there already with another archive"):
            await desk.put_artifact(artifact("a", digit="2"))
        assert await desk.put_artifact(artifact("a", digit="2"), replace_it=True) is True
        with pytest.raises(InvalidInput, match="name 'A'"):
            await desk.put_artifact(artifact("A"))

    with_desk(check, artifact("a"))


def test_unsigned_and_foreign_archives_are_not_taken(tmp_path: Path) -> None:
    ours, theirs = signing(tmp_path / "ours"), signing(tmp_path / "theirs")

    async def main() -> None:
        desk = Provisioning(FakeStore(), anchors=ours.anchors)
        for signature, words in ((None, "not signed"), (theirs.sign("1" * 64), "does not know")):
            with pytest.raises(InvalidInput, match=f"cannot take bundle a-1.0.0.*{words}"):
                await desk.put_artifact(msgspec.structs.replace(artifact("a"), signature=signature))
        good = msgspec.structs.replace(artifact("a"), signature=ours.sign("1" * 64))
        assert await desk.put_artifact(good) is True

    asyncio.run(main())


def test_a_bundle_that_a_kept_version_needs_is_not_forgotten() -> None:
    async def check(desk: Provisioning) -> None:
        await apply(desk, rule("x", "a"))
        await apply(desk, rule("x", "b"))
        with pytest.raises(Conflict, match="part of version 1"):
            await desk.remove_artifact("a", "1.0.0")
        await desk.remove_artifact("c", "1.0.0")
        with pytest.raises(NotFound, match="no bundle c"):
            await desk.remove_artifact("c", "1.0.0")

    with_desk(check, artifact("a"), artifact("b"), artifact("c"))


def test_an_archive_that_takes_anothers_place_reaches_targets_only_by_a_version() -> None:
    """Which says who asked for it, and is none where it changes nothing."""

    async def check(desk: Provisioning) -> None:
        await apply(desk, rule("x", "a"))
        await desk.put_artifact(artifact("a", digit="2"), replace_it=True)
        assert await archive(desk, "x") == "1"
        asked = VersionRequest(replaced=("a@1.0.0", "b@1.0.0"), by="berta")
        made = await desk.change(asked)
        assert (made.version.version, made.version.by, made.version.note) == (2, "berta", "a@1.0.0 replaced")
        assert [each.changed for each in made.changes] == [(("a", "1.0.0 (11111111)", "1.0.0 (22222222)"),)]
        assert await archive(desk, "x") == "2"
        again = await desk.change(asked)
        assert (again.version.version, again.before, again.changes) == (2, 2, ())
        assert [each.version for each in await desk.versions()] == [2, 1]

    with_desk(check, artifact("a"), artifact("b"))


def test_going_back_brings_back_the_very_archives() -> None:
    async def check(desk: Provisioning) -> None:
        await apply(desk, rule("*", "a"))
        for digit in "234":
            await desk.put_artifact(artifact("a", digit=digit), replace_it=True)
            await desk.change(VersionRequest(replaced=("a@1.0.0",)))
        await desk.change(VersionRequest(back_to=2, target="x"))
        assert (await archive(desk, "x"), await archive(desk, "y")) == ("2", "4")
        await desk.change(VersionRequest(back_to=1))
        assert (await archive(desk, "x"), await archive(desk, "y")) == ("1", "1"), "nobody was held then"
        await desk.change(VersionRequest(back_to=5))
        await desk.put_artifact(artifact("a", digit="5"), replace_it=True)
        await desk.change(VersionRequest(replaced=("a@1.0.0",)))
        assert (await archive(desk, "x"), await archive(desk, "y")) == ("2", "5"), "who is held keeps its bytes"
        await desk.change(VersionRequest(back_to=0, target="y"))
        assert await archive(desk, "y") == "4"
        await desk.put_artifact(artifact("a", digit="1"), replace_it=True)
        await desk.change(VersionRequest())
        assert (await archive(desk, "x"), await archive(desk, "y"), await archive(desk, "z")) == ("2", "4", "1")

    with_desk(check, artifact("a"))


def test_other_bundles_of_a_version_keep_theirs_when_one_is_replaced() -> None:
    async def check(desk: Provisioning) -> None:
        await apply(desk, rule("x", "a") + rule("y", "b"))
        for name in "ab":
            await desk.put_artifact(artifact(name, digit="2"), replace_it=True)
        await desk.change(VersionRequest(replaced=("b@1.0.0",)))
        assert (await archive(desk, "x"), await archive(desk, "y")) == ("1", "2")

    with_desk(check, artifact("a"), artifact("b"))


def test_a_replaced_archive_is_kept_for_as_long_as_a_kept_version_names_it() -> None:
    async def check(desk: Provisioning) -> None:
        await apply(desk, rule("x", "a"))
        await desk.put_artifact(artifact("a", digit="2"), replace_it=True)
        await desk.put_artifact(artifact("a", digit="3"), replace_it=True)
        await desk.change(VersionRequest(replaced=("a@1.0.0",)))
        assert [key[2][0] for key in (await desk.known()).repository.replaced] == ["1"], "nobody ever named the second"
        for _ in range(KEPT_VERSIONS - 2):
            await apply(desk, rule("x", "a"))
        assert len((await desk.known()).repository.replaced) == 1
        await apply(desk, rule("x", "a"))
        assert (await desk.versions())[-1].version == 2
        assert (await desk.known()).repository.replaced == {}

    with_desk(check, artifact("a"))


def test_a_bundle_is_forgotten_with_the_archives_it_had() -> None:
    store = FakeStore()

    async def check(desk: Provisioning) -> None:
        await desk.put_artifact(artifact("a", digit="2"), replace_it=True)
        await desk.remove_artifact("a", "1.0.0")
        assert (await store.list(REPLACED)).items == ()

    with_desk(check, artifact("a"), store=store)


def test_signatures_of_replaced_archives_are_made_anew_too(tmp_path: Path) -> None:
    ours = signing(tmp_path)

    async def main() -> None:
        store = FakeStore()
        unsigned = Provisioning(store)
        await unsigned.put_artifact(artifact("a"))
        await unsigned.put_artifact(artifact("a", digit="2"), replace_it=True)
        desk = Provisioning(store, anchors=ours.anchors)
        for digit in "12":
            signature = ours.sign(digit * 64)
            await desk.sign(msgspec.structs.replace(artifact("a", digit=digit), signature=signature))
        found = (await desk.known()).repository
        assert all(each.signature is not None for each in found.all)
        assert found.newest["a", "1.0.0"].sha256 == "2" * 64
        with pytest.raises(NotFound, match="is not kept any more"):
            await desk.sign(msgspec.structs.replace(artifact("a", digit="3"), signature=ours.sign("3" * 64)))
        with pytest.raises(InvalidInput, match="not signed"):
            await desk.sign(artifact("a"))

    asyncio.run(main())
