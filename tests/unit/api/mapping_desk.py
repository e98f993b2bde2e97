"""Who changes the mapping, over a store in memory, and what its targets then get."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from inaetics.api.provisioning import Provisioning
from inaetics.api.provisioning_wire import VersionRequest
from inaetics.bundles.given import given as given_by
from inaetics.bundles.records import Artifact
from inaetics.store.fake import FakeStore
from tests.support.versions import gives as gives_by


def artifact(name: str, version: str = "1.0.0", digit: str = "1", **fields: object) -> Artifact:
    return msgspec.convert({"name": name, "version": version, "sha256": digit * 64, "size": 9, **fields}, Artifact)


def rule(target: str, *install: str, more: str = "") -> str:
    return f"[[rules]]\ntarget = {target!r}\ninstall = {list(install)!r}\n{more}"


def with_desk(
    check: Callable[[Provisioning], Awaitable[None]], *bundles: Artifact, store: FakeStore | None = None
) -> None:
    async def main() -> None:
        desk = Provisioning(store or FakeStore(), clock=lambda: 1000.0)
        for each in bundles:
            await desk.put_artifact(each)
        await check(desk)

    asyncio.run(main())


async def apply(desk: Provisioning, text: str, **fields: object) -> int:
    made = await desk.change(msgspec.convert({"text": text, "by": "anna", **fields}, VersionRequest))
    return made.version.version


async def gives(desk: Provisioning, target: str) -> list[str]:
    known = await desk.known()
    assert known.version is not None
    return gives_by(known.version, target)


async def archive(desk: Provisioning, target: str) -> str:
    """The first digit of what `target` gets of its only bundle."""
    known = await desk.known()
    assert known.version is not None
    (pinned,) = given_by(known.version, target)
    assert known.repository.find(pinned).sha256 == pinned.sha256, "its archive is kept"
    return pinned.sha256[0]
