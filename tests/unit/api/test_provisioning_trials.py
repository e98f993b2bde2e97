"""A version on trial is taken back by whatever API is there, once, and only when a target it concerns cannot run it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Literal

import msgspec
import pytest

from inaetics.api.provisioning import Provisioning
from inaetics.api.provisioning_trials import BY, Trials, keep
from inaetics.api.provisioning_wire import VersionRequest
from inaetics.bundles.deployment import name_of
from inaetics.bundles.outcome import failures
from inaetics.bundles.records import STANDINGS, TRIAL, Artifact, Entry, Standing, Version, standing_key
from inaetics.errors import Conflict, InvalidInput, Unavailable
from inaetics.store.background import beside
from inaetics.store.fake import FakeStore
from inaetics.store.protocol import WatchEvent
from tests.support.eventually import aeventually

NOW = 1000.0
LONG_S, SOON_S = 600.0, 0.05
MOMENT_S = 0.3
"""For what must not happen."""


def rule(target: str, *install: str) -> str:
    return f"[[rules]]\ntarget = {target!r}\ninstall = {list(install)!r}\n"


class Scene:
    """Bundles a, b and c, and version 1, which gives a to x and to y."""

    def __init__(self) -> None:
        self.store = FakeStore()
        self.desk = Provisioning(self.store.client(), clock=lambda: NOW)

    async def begin(self) -> None:
        for digit, name in enumerate("abc", 1):
            await self.desk.put_artifact(Artifact(name=name, version="1.0.0", sha256=str(digit) * 64, size=1))
        await self.apply(rule("x", "a") + rule("y", "a"))

    async def apply(self, text: str, trial_s: float | None = None) -> int:
        made = await self.desk.change(VersionRequest(text=text, by="anna", trial_s=trial_s))
        return made.version.version

    async def says(self, target: str, event: Literal["installed", "rolled-back"], version: int = 0) -> None:
        """What an agent says of what it was given."""
        name = name_of(target, await self.desk.version(version))
        said = Standing(last=Entry(at=NOW, event=event, version=name, error="no luck"), running="1-old")
        await self.store.put(standing_key(target), msgspec.json.encode(said))

    async def in_force(self) -> Version:
        return await self.desk.version(0)

    async def is_in_force(self, number: int) -> Version:
        async def there() -> Version | None:
            version = await self.in_force()
            return version if version.version == number else None

        found = await aeventually(there, within_s=20, what=f"version {number} is in force")
        assert found is not None
        return found

    async def trial_ends(self) -> None:
        async def gone() -> bool:
            return await self.store.get(TRIAL) is None

        await aeventually(gone, within_s=20, what="the trial is over")


@asynccontextmanager
async def watched(scene: Scene, *, by: int = 1, clock: float = NOW) -> AsyncIterator[tuple[FakeStore, Trials]]:
    """`by` APIs are there for the block, which is given the first one's store and watch."""
    stores = [scene.store.client() for _ in range(by)]
    async with asyncio.TaskGroup() as group:
        made = [Trials(store, Provisioning(store, clock=lambda: NOW), clock=lambda: clock) for store in stores]
        tasks = [group.create_task(each.run()) for each in made]
        yield stores[0], made[0]
        for task in tasks:
            task.cancel()


def scene(check: Callable[[Scene], Awaitable[None]]) -> None:
    async def main() -> None:
        made = Scene()
        await made.begin()
        await check(made)

    asyncio.run(main())


@pytest.mark.parametrize("apis", [1, 3])
def test_what_a_target_cannot_run_is_taken_back_everywhere_once(apis: int) -> None:
    async def check(scene: Scene) -> None:
        async with watched(scene, by=apis):
            assert await scene.apply(rule("*", "b"), LONG_S) == 2
            await scene.says("x", "installed")
            await scene.says("y", "rolled-back")
            made = await scene.is_in_force(3)
            await asyncio.sleep(MOMENT_S)
            assert (await scene.in_force()).version == 3
        assert (made.by, made.text) == (BY, rule("x", "a") + rule("y", "a"))
        assert made.note == "back to version 1: y went back to deployment 1-old: no luck"
        assert made.undid is not None
        assert (made.undid.version, list(made.undid.failed)) == (2, ["y"])
        assert await scene.store.get(TRIAL) is None

    scene(check)


def test_it_is_taken_back_too_when_the_failure_came_before_anybody_watched() -> None:
    """The API that answered the command has died with it."""

    async def check(scene: Scene) -> None:
        await scene.apply(rule("*", "b"), LONG_S)
        await scene.says("x", "rolled-back")
        async with watched(scene):
            assert (await scene.is_in_force(3)).undid is not None

    scene(check)


def test_it_is_taken_back_after_an_outage_of_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when its time has passed meanwhile: a watch that comes back needs longer than what is left then."""
    watch = FakeStore.watch

    async def slowly(self: FakeStore, prefix: str, *, after: int = 0) -> AsyncIterator[WatchEvent]:
        await asyncio.sleep(0.01)
        async for event in watch(self, prefix, after=after):
            yield event

    monkeypatch.setattr(FakeStore, "watch", slowly)

    async def check(scene: Scene) -> None:
        async with watched(scene) as (store, trials):
            await scene.apply(rule("*", "b"), 0.5)

            async def is_known() -> bool:
                return trials._now is not None

            await aeventually(is_known, within_s=10, what="the trial is watched over")
            with store.outage():
                await scene.says("x", "rolled-back")
                await asyncio.sleep(0.5 + MOMENT_S)
                assert (await scene.in_force()).version == 2
            await scene.is_in_force(3)

    scene(check)


def test_it_is_taken_back_as_soon_as_a_registry_answers_again() -> None:
    """What is to come back must be there for agents to fetch."""

    class Away:
        tries = 0

        async def check(self, artifacts: Iterable[Artifact]) -> None:
            self.tries += 1
            if self.tries < 3:
                raise (Unavailable if self.tries == 1 else OSError)("no registry, or no certificate for it")

    async def check(scene: Scene) -> None:
        archives = Away()
        desk = Provisioning(scene.store.client(), archives=archives, clock=lambda: NOW)
        await scene.apply(rule("*", "b"), SOON_S)
        await scene.says("x", "rolled-back")
        async with beside(Trials(scene.store.client(), desk, clock=lambda: NOW).run(), name="trials"):
            await scene.is_in_force(3)
        assert archives.tries == 3

    scene(check)


@pytest.mark.parametrize(
    ("target", "event", "version"),
    [
        pytest.param("y", "rolled-back", 0, id="it gets what it had"),
        pytest.param("x", "rolled-back", 1, id="of another version"),
        pytest.param("x", "installed", 0, id="it runs it"),
    ],
)
def test_what_is_no_failure_of_this_version_changes_nothing(
    target: str, event: Literal["installed", "rolled-back"], version: int
) -> None:
    async def check(scene: Scene) -> None:
        async with watched(scene):
            await scene.apply(rule("x", "b") + rule("y", "a"), LONG_S)
            await scene.says(target, event, version)
            await asyncio.sleep(MOMENT_S)
            assert (await scene.in_force()).version == 2
            assert await scene.store.get(TRIAL) is not None
            await scene.says("x", "rolled-back")
            await scene.is_in_force(3)

    scene(check)


def test_after_its_time_it_stays() -> None:
    async def check(scene: Scene) -> None:
        async with watched(scene):
            await scene.apply(rule("*", "b"), SOON_S)
            await scene.trial_ends()
            await scene.says("x", "rolled-back")
            await asyncio.sleep(MOMENT_S)
            assert (await scene.in_force()).version == 2

    scene(check)


def test_what_was_on_trial_long_ago_is_judged_once_and_stays() -> None:
    """A cluster that was halted for a night: nobody saw the end of it."""

    async def check(scene: Scene) -> None:
        await scene.apply(rule("*", "b"), LONG_S)
        async with watched(scene, clock=NOW + LONG_S + 1):
            await scene.trial_ends()
            assert (await scene.in_force()).version == 2

    scene(check)


def test_who_is_content_says_so_and_it_stays() -> None:
    async def check(scene: Scene) -> None:
        async with watched(scene):
            await scene.apply(rule("*", "b"), LONG_S)
            with pytest.raises(Conflict, match="version 1 of the mapping is not in force: version 2 is, applied by"):
                await keep(scene.store, 1)
            assert await keep(scene.store, 2) is True
            assert await keep(scene.store, 2) is False
            await scene.says("x", "rolled-back")
            await asyncio.sleep(MOMENT_S)
            assert (await scene.in_force()).version == 2

    scene(check)


def test_any_other_version_ends_a_trial() -> None:
    async def check(scene: Scene) -> None:
        async with watched(scene):
            await scene.apply(rule("*", "b"), LONG_S)
            await scene.apply(rule("*", "c"))
            await scene.says("x", "rolled-back")
            await asyncio.sleep(MOMENT_S)
            assert (await scene.in_force()).version == 3

    scene(check)


def test_from_a_trial_upon_a_trial_the_way_back_leads_to_what_was_good() -> None:
    async def check(scene: Scene) -> None:
        async with watched(scene):
            await scene.apply(rule("*", "b"), LONG_S)
            await scene.apply(rule("*", "c"), LONG_S)
            await scene.says("x", "rolled-back")
            made = await scene.is_in_force(4)
            assert made.text == rule("x", "a") + rule("y", "a")

    scene(check)


def test_nobody_is_kept_from_deploying_by_nonsense_in_the_log() -> None:
    """Every worker's certificate may write there."""

    async def check(scene: Scene) -> None:
        for target in ("x", "z", "../current", "no target"):
            await scene.store.put(f"{STANDINGS}{target}", b'{"last": 7')
        async with watched(scene):
            await scene.apply(rule("*", "b"), LONG_S)
            assert await scene.desk.standings() == {}
            await scene.store.put(f"{STANDINGS}z", b"\xff")
            await scene.says("x", "rolled-back")
            await scene.is_in_force(3)

    scene(check)


def test_a_version_that_cannot_be_taken_back_stays_and_the_next_trial_is_watched() -> None:
    async def check(scene: Scene) -> None:
        async with watched(scene):
            await scene.apply(rule("*", "b"), LONG_S)
            await scene.store.delete("/inaetics/provisioning/versions/0000000001")
            await scene.says("x", "rolled-back")
            await scene.trial_ends()
            assert (await scene.in_force()).version == 2
            await scene.apply(rule("*", "c"), LONG_S)
            await scene.says("x", "rolled-back")
            assert (await scene.is_in_force(4)).text == rule("*", "b")

    scene(check)


def test_going_back_is_not_on_trial_nor_is_the_first_version() -> None:
    async def main() -> None:
        scene = Scene()
        await scene.desk.put_artifact(Artifact(name="a", version="1.0.0", sha256="1" * 64, size=1))
        await scene.apply(rule("x", "a"), LONG_S)
        assert await scene.store.get(TRIAL) is None
        await scene.apply(rule("y", "a"))
        for asked in ({"back_to": 1}, {"back_to": 0, "target": "x"}):
            with pytest.raises(InvalidInput, match="going back is not taken back"):
                await scene.desk.change(msgspec.convert({**asked, "trial_s": 5.0}, VersionRequest))

    asyncio.run(main())


def test_a_version_that_was_taken_back_is_not_said_of_later_ones() -> None:
    async def check(scene: Scene) -> None:
        async with watched(scene):
            await scene.apply(rule("*", "b"), LONG_S)
            await scene.says("x", "rolled-back")
            await scene.is_in_force(3)
        await scene.apply(rule("*", "c"))
        assert (await scene.in_force()).undid is None
        await scene.desk.change(VersionRequest(back_to=3, by="anna"))
        assert (await scene.in_force()).undid is None

    scene(check)


def test_who_failed_is_told_with_what_runs_there() -> None:
    async def check(scene: Scene) -> None:
        await scene.apply(rule("*", "b"))
        await scene.says("x", "rolled-back")
        before, after = await scene.desk.version(1), await scene.desk.version(2)
        assert failures(before, after, await scene.desk.standings()) == {"x": "went back to deployment 1-old: no luck"}
        assert failures(after, after, await scene.desk.standings()) == {}

    scene(check)
