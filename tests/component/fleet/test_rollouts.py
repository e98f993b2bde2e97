"""Updates over real engines and agents: carried out, undone, gone on with by another leader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from inaetics.errors import Conflict
from inaetics.fleet import keys
from inaetics.fleet.events_chronicle import Chronicle
from inaetics.fleet.events_ring import Wanted
from inaetics.fleet.model import Desired, UnitName
from inaetics.fleet.rollout import Phase, Progress, Rollout
from inaetics.fleet.rollout_desk import KEPT_PER_TARGET, RolloutDesk
from tests.support.fake_supervisor import FakeSupervisor
from tests.support.fleet import ENGINE, Fleet, fleet, service

LAUNCHED = Desired.LAUNCHED
TEMPLATE = "a@.service"


def content(word: str, *options: str) -> str:
    return service("HealthyAfterSec=0.2", *options) + f"# {word}\n"


OLD, NEW = content("old"), content("new")


@asynccontextmanager
async def _running(instances: int) -> AsyncIterator[Fleet]:
    """A template's instances, all active on the old content, on two machines."""
    async with fleet(2) as made:
        await made.registry.submit(TEMPLATE, OLD)
        for number in range(1, instances + 1):
            await made.registry.submit(f"a@{number}.service", OLD, desired=LAUNCHED)
        await made.until(lambda: len(made.mirror.snapshot.states) == instances, "all are reported")
        yield made


async def _begin(made: Fleet, *, at_once: int = 1, text: str = NEW) -> str:
    desk = RolloutDesk(made.store)
    rollout, revision = await desk.begin(made.mirror.snapshot, TEMPLATE, text, at_once=at_once, by="test")
    await made.mirror.reached(revision)
    return rollout.id


async def _end(made: Fleet, rollout_id: str, *, within_s: float = 30) -> Rollout:
    await made.until(lambda: not made.mirror.snapshot.rollouts[rollout_id].runs, "it has ended", within_s=within_s)
    return made.mirror.snapshot.rollouts[rollout_id]


def _texts(made: Fleet) -> set[str]:
    """The contents that supervisors have."""
    return {text for supervisor in made.supervisors.values() for text in supervisor.texts.values()}


def test_every_instance_is_restarted_on_the_new_content_and_then_the_template_has_it() -> None:
    async def main() -> None:
        async with _running(4) as made:
            pids = made.supervisors[1].running() | made.supervisors[2].running()
            end = await _end(made, await _begin(made, at_once=2))
            assert (end.phase, {step.progress for step in end.steps}) == (Phase.DONE, {Progress.DONE})
            assert _texts(made) == {NEW}
            after = made.supervisors[1].running() | made.supervisors[2].running()
            assert after.keys() == pids.keys()
            assert not set(after.values()) & set(pids.values())
            assert made.mirror.snapshot.units[UnitName(TEMPLATE)].text == NEW

    asyncio.run(main())


def test_one_that_fails_takes_all_of_them_back() -> None:
    async def main() -> None:
        async with _running(3) as made:
            chronicle = Chronicle(made.store, made.mirror)
            made.run(chronicle.run, "events")
            for supervisor in made.supervisors.values():
                supervisor.fails_on["a@3.service"] = "# new"
            end = await _end(made, await _begin(made))
            assert end.phase is Phase.UNDONE
            assert "a@3.service is not well on the new content" in end.reason
            assert _texts(made) == {OLD}
            assert made.mirror.snapshot.units[UnitName(TEMPLATE)].text == OLD
            told = [event.message for event in chronicle.latest(Wanted(kind="rollout"), 100)]
            assert [
                word for message in told for word in ("begins", "goes back", "ends: undone") if word in message
            ] == [
                "begins",
                "goes back",
                "ends: undone",
            ]
            [changed, back] = chronicle.latest(Wanted(kind="changed", unit="a@3.service"), 10)
            assert changed.reason == back.reason == f"update {end.id}"
            await made.until(lambda: all(made.active(f"a@{n}.service") for n in (1, 2, 3)), "all are active again")

    asyncio.run(main())


@pytest.mark.parametrize("changed", [0, 1, 2])
def test_another_leader_goes_on(changed: int) -> None:
    async def main() -> None:
        async with _running(3) as made:
            rollout_id = await _begin(made)

            def progress() -> bool:
                steps = made.mirror.snapshot.rollouts[rollout_id].steps
                return sum(step.progress is Progress.DONE for step in steps) >= changed

            await made.until(progress, "so far")
            await made.engines[0].stop()
            made.start_engine("worker-2", settings=replace(ENGINE, full_pass_s=5))
            end = await _end(made, rollout_id)
            assert end.phase is Phase.DONE
            assert _texts(made) == {NEW}

    asyncio.run(main())


def test_a_machine_that_dies_in_the_middle_does_not_stop_it() -> None:
    async def main() -> None:
        async with _running(4) as made:
            rollout_id = await _begin(made)
            await made.until(
                lambda: made.mirror.snapshot.rollouts[rollout_id].steps[0].progress is Progress.DONE, "one is done"
            )
            await made.agents[2].stop()
            lost = keys.machine(sorted(made.mirror.snapshot.machines)[1])
            [lease] = [item.lease for item in (await made.store.list(lost)).items]
            made.store.expire(lease)
            made.supervisors[2] = FakeSupervisor()
            end = await _end(made, rollout_id)
            assert end.phase is Phase.DONE
            assert _texts(made) == {NEW}

    asyncio.run(main())


def test_a_second_update_is_refused_and_the_first_can_be_cancelled() -> None:
    async def main() -> None:
        async with _running(3) as made:
            for supervisor in made.supervisors.values():
                supervisor.start_s = 0.3
            rollout_id = await _begin(made)
            with pytest.raises(Conflict, match=rollout_id):
                await _begin(made, text=content("third"))
            await RolloutDesk(made.store).cancel(rollout_id, by="me")
            end = await _end(made, rollout_id)
            assert (end.phase, end.reason) == (Phase.UNDONE, "cancelled by me")
            assert _texts(made) == {OLD}
            with pytest.raises(Conflict, match="already"):
                await RolloutDesk(made.store).cancel(rollout_id, by="me")

    asyncio.run(main())


def test_two_that_begin_at_the_same_moment_are_one() -> None:
    async def main() -> None:
        async with _running(1) as made:
            desk = RolloutDesk(made.store)
            refused: list[str] = []
            async with asyncio.TaskGroup() as group:
                for name in (TEMPLATE, "a@1.service"):
                    group.create_task(_try(desk, made, name, refused), name=name)
            assert len(refused) == 1
            assert len((await made.store.list(keys.ROLLOUTS)).items) == 1

    asyncio.run(main())


async def _try(desk: RolloutDesk, made: Fleet, name: str, refused: list[str]) -> None:
    try:
        await desk.begin(made.mirror.snapshot, name, NEW, at_once=1, by="")
    except Conflict as error:
        refused.append(str(error))


def test_what_does_not_run_gets_its_content_without_a_start() -> None:
    async def main() -> None:
        async with _running(2) as made:
            await made.registry.set_desired("a@2.service", Desired.INACTIVE)
            await made.until(lambda: not made.where("a@2.service"), "it is nowhere")
            end = await _end(made, await _begin(made))
            assert end.phase is Phase.DONE
            assert made.mirror.snapshot.units[UnitName("a@2.service")].text == NEW
            assert not made.runs_on("a@2.service")

    asyncio.run(main())


def test_the_history_is_bounded() -> None:
    async def main() -> None:
        async with _running(1) as made:
            await made.registry.set_desired("a@1.service", Desired.INACTIVE)
            await made.until(lambda: not made.where("a@1.service"), "it is nowhere")
            for number in range(KEPT_PER_TARGET + 3):
                await _end(made, await _begin(made, text=content(str(number))))
            assert len(made.mirror.snapshot.rollouts) == KEPT_PER_TARGET

    asyncio.run(main())
