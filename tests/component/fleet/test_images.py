"""Images over real engines and agents: a unit keeps its digest wherever it runs; updates, and their undoing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Self

import msgspec
import pytest

from inaetics.errors import Unavailable
from inaetics.fleet import image_tags, keys
from inaetics.fleet.batch import Wish
from inaetics.fleet.image_tags import RegistryTags
from inaetics.fleet.images import Manifest
from inaetics.fleet.model import Desired, UnitName
from inaetics.fleet.registry import Registry
from inaetics.fleet.rollout import Phase, Progress, Rollout
from inaetics.fleet.rollout_desk import RolloutDesk
from inaetics.store.fake import FakeStore
from inaetics.units.container import ContainerEngine
from inaetics.units.image_names import Followed
from tests.support.fake_supervisor import FakeSupervisor
from tests.support.fleet import ENGINE, Fleet, fleet
from tests.support.tags import FakeTags, digest

LAUNCHED = Desired.LAUNCHED
FELIX = "inaetics/felix-agent:latest"
UNIT = f"[Container]\nImage=${{INAETICS_REGISTRY}}/{FELIX}\n[X-Fleet]\nHealthyAfterSec=0.2\n"
FOLLOWED = Followed("${INAETICS_REGISTRY}", "inaetics/felix-agent", "latest")
OLD, NEW = digest("aa"), digest("bb")


@asynccontextmanager
async def _fleet(directory: Path, tags: FakeTags, *, finds: str = "") -> AsyncIterator[Fleet]:
    """Two machines whose container engine says of every container that it runs the image `finds`."""
    program = directory / "engine"
    program.write_text(f"#!/bin/sh\necho {finds}\n")
    program.chmod(0o755)
    engine = directory / "engine.json"
    engine.write_bytes(msgspec.json.encode(ContainerEngine(command=(str(program),))))
    async with fleet(2, engine_file=engine) as made:
        made.registry = Registry(made.store, tags)
        yield made


async def _started(made: Fleet, *names: str) -> None:
    for name in names:
        await made.registry.submit(f"{name}.service", UNIT, desired=LAUNCHED)
    await made.until(lambda: all(made.active(f"{name}.service") for name in names), "all are active")


async def _begin(made: Fleet, new: str = NEW, *, at_once: int = 1) -> str:
    desk, means = RolloutDesk(made.store), {FOLLOWED: Manifest(digest=new)}
    rollout, revision = await desk.begin_images(made.mirror.snapshot, (), means, at_once=at_once, by="test")
    await made.mirror.reached(revision)
    return rollout.id


async def _end(made: Fleet, rollout_id: str) -> Rollout:
    await made.until(lambda: not made.mirror.snapshot.rollouts[rollout_id].runs, "it has ended")
    return made.mirror.snapshot.rollouts[rollout_id]


def _images(made: Fleet) -> set[str]:
    """The digests by which supervisors run units; empty for a tag."""
    lines = [
        line
        for supervisor in made.supervisors.values()
        for text in supervisor.texts.values()
        for line in text.splitlines()
        if line.startswith("ExecStart=")
    ]
    return {line.partition("felix-agent@")[2].split()[0] if "felix-agent@" in line else "" for line in lines}


def test_a_unit_moves_with_its_digest_whatever_its_tag_means(tmp_path: Path) -> None:
    async def main() -> None:
        tags = FakeTags()
        tags.push(FELIX, "aa")
        async with _fleet(tmp_path, tags) as made:
            await _started(made, "felix@1")
            tags.push(FELIX, "bb")
            [home] = made.runs_on("felix@1.service")
            await made.agents[home].stop()
            machine = sorted(made.mirror.snapshot.machines)[home - 1]
            [lease] = [item.lease for item in (await made.store.list(keys.machine(machine))).items]
            made.store.expire(lease)
            made.supervisors[home] = FakeSupervisor()
            await made.until(lambda: made.runs_on("felix@1.service") == [3 - home], "it runs on the other machine")
            assert _images(made) == {OLD}
            calls = [call for call, name in made.supervisors[3 - home].calls if name == "felix@1.service"]
            assert calls == ["load", "start"], "it knew the digest from the start"

    asyncio.run(main())


def test_units_are_restarted_on_the_new_image_one_after_the_other(tmp_path: Path) -> None:
    async def main() -> None:
        tags = FakeTags()
        tags.push(FELIX, "aa")
        async with _fleet(tmp_path, tags) as made:
            await _started(made, "felix@1", "felix@2", "felix@3")
            pids = made.supervisors[1].running() | made.supervisors[2].running()
            end = await _end(made, await _begin(made))
            assert (end.phase, {step.progress for step in end.steps}) == (Phase.DONE, {Progress.DONE})
            assert _images(made) == {NEW}
            after = made.supervisors[1].running() | made.supervisors[2].running()
            assert after.keys() == pids.keys()
            assert all(after[name] != pid for name, pid in pids.items())

    asyncio.run(main())


def test_one_that_fails_takes_all_of_them_back(tmp_path: Path) -> None:
    async def main() -> None:
        tags = FakeTags()
        tags.push(FELIX, "aa")
        async with _fleet(tmp_path, tags) as made:
            await _started(made, "felix@1", "felix@2", "felix@3")
            for supervisor in made.supervisors.values():
                supervisor.fails_on["felix@3.service"] = NEW
            end = await _end(made, await _begin(made))
            assert end.phase is Phase.UNDONE
            assert "felix@3.service is not well on the new image" in end.reason
            assert _images(made) == {OLD}
            assert {unit.image for unit in made.mirror.snapshot.units.values()} == {OLD}
            await made.until(lambda: all(made.active(f"felix@{n}.service") for n in (1, 2, 3)), "all are active again")

    asyncio.run(main())


@pytest.mark.parametrize("changed", [0, 1])
def test_another_leader_goes_on(tmp_path: Path, changed: int) -> None:
    async def main() -> None:
        tags = FakeTags()
        tags.push(FELIX, "aa")
        async with _fleet(tmp_path, tags) as made:
            await _started(made, "felix@1", "felix@2", "felix@3")
            rollout_id = await _begin(made)

            def progress() -> bool:
                steps = made.mirror.snapshot.rollouts[rollout_id].steps
                return sum(step.progress is Progress.DONE for step in steps) >= changed

            await made.until(progress, "so far")
            await made.engines[0].stop()
            made.start_engine("worker-2", settings=replace(ENGINE, full_pass_s=5))
            assert (await _end(made, rollout_id)).phase is Phase.DONE
            assert _images(made) == {NEW}

    asyncio.run(main())


def test_a_digest_that_was_found_out_is_kept_and_nothing_is_restarted_for_it(tmp_path: Path) -> None:
    async def main() -> None:
        tags = FakeTags(silent=True)
        async with _fleet(tmp_path, tags, finds=OLD) as made:
            await _started(made, "felix@1")
            name = UnitName("felix@1.service")
            await made.until(lambda: made.mirror.snapshot.units[name].image == OLD, "it is learnt")
            await made.until(lambda: _images(made) == {OLD}, "the supervisor has it, for the next start")
            end = await _end(made, await _begin(made))
            assert end.phase is Phase.DONE
            assert _images(made) == {NEW}
            [home] = made.runs_on(name)
            calls = [call for call, unit in made.supervisors[home].calls if unit == name]
            assert calls == ["load", "start", "load", "load", "restart"], "one restart, for the update"

    asyncio.run(main())


def test_a_restarted_agent_knows_which_image_runs(tmp_path: Path) -> None:
    async def main() -> None:
        tags = FakeTags()
        tags.push(FELIX, "aa")
        async with _fleet(tmp_path, tags) as made:
            await _started(made, "felix@1")
            [home] = made.runs_on("felix@1.service")
            pid = made.supervisors[home].running()
            await made.agents[home].stop()
            made.start_agent(home, role="inaetics-agent")
            await made.until(lambda: made.active("felix@1.service"), "it is reported again")
            states = [state for (_, name), state in made.mirror.snapshot.states.items() if name == "felix@1.service"]
            assert [state.image for state in states] == [OLD]
            assert made.supervisors[home].running() == pid

    asyncio.run(main())


class Asked:
    """In the place of a connection to a registry: says what was asked of which."""

    calls: ClassVar[list[tuple[str, str]]] = []
    silent: ClassVar[set[str]] = set()

    def __init__(self, address: str, certificates: Path, *, timeout_s: float) -> None:
        self._address = address

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *reason: object) -> None:
        pass

    def manifest(self, repository: str, reference: str) -> tuple[str, dict[str, int]]:
        self.calls.append((self._address, reference))
        if self._address in self.silent:
            raise Unavailable("no answer")
        return OLD, {}


def test_one_lookup_serves_many_units_and_a_silent_registry_comes_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_tags, "Registry", Asked)
    monkeypatch.setattr(Asked, "calls", [])
    monkeypatch.setattr(Asked, "silent", {"one:1"})

    async def main() -> None:
        registry = Registry(FakeStore(), RegistryTags(["one:1", "two:1"], Path()))
        wishes = [Wish(name=f"felix@{number}.service", text=UNIT, desired=LAUNCHED) for number in range(50)]
        await registry.submit_many(wishes)
        assert Asked.calls == [("one:1", "latest"), ("two:1", "latest")]
        await registry.submit("other.service", UNIT.replace("latest", "next"), desired=LAUNCHED)
        assert Asked.calls[2:] == [("two:1", "next")]
        Asked.silent.add("two:1")
        for number in range(5):
            await registry.submit(f"third@{number}.service", UNIT.replace("latest", "third"), desired=LAUNCHED)
        assert len(Asked.calls[3:]) == 2, "who does not answer is left alone for a while"

    asyncio.run(main())
