"""A machine that loses touch with its fleet: what it does with its units, and what becomes of them when it returns."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from typing_extensions import override

from inaetics.fleet.model import Desired
from inaetics.store.fake import FakeStore
from inaetics.store.protocol import WatchEvent
from tests.support import fleet as support
from tests.support.fleet import AGENT, Fleet, machine_id, service

STOPS = service("OnLost=stop").replace("[X-Fleet]", "TimeoutStopSec=100ms\n[X-Fleet]")
KEEPS = service("OnLost=keep")
QUICK = replace(
    AGENT,
    lease_ttl_s=2.0,
    renew_every_s=0.1,
    election_s=0.5,
    lost_margin_s=0.3,
    disk_grace_s=0.3,
    disk_delay_s=0.01,
)
LEASE_S = QUICK.lease_ttl_s
WITHIN_S = 30
fleet = partial(support.fleet, agents=QUICK)


class Deaf(FakeStore):
    """A client whose watches say nothing while `hears` is not set; its calls are answered."""

    def __init__(self, other: FakeStore) -> None:
        super().__init__(other._data)
        self.hears = asyncio.Event()
        self.hears.set()

    @override
    async def watch(self, prefix: str, *, after: int = 0) -> AsyncIterator[WatchEvent]:
        async for event in super().watch(prefix, after=after):
            await self.hears.wait()
            yield event


@asynccontextmanager
async def never_twice(made: Fleet, name: str) -> AsyncIterator[None]:
    """Look all the time: at no moment does the unit run on two machines."""
    seen: set[tuple[int, ...]] = set()

    async def look() -> None:
        while True:
            seen.add(tuple(made.runs_on(name)))
            await asyncio.sleep(0.005)

    async with asyncio.TaskGroup() as group:
        looking = group.create_task(look())
        yield
        looking.cancel()
    assert all(len(places) <= 1 for places in seen), f"{name} ran on several machines at once: {seen}"


async def started(made: Fleet, name: str, text: str) -> int:
    """Start a unit; returns the number of the worker that runs it."""
    await made.registry.submit(name, text, desired=Desired.LAUNCHED)
    await made.until(lambda: made.active(name), f"{name} is active")
    (number,) = made.runs_on(name)
    return number


def test_a_unit_that_stops_is_down_before_it_is_up_elsewhere() -> None:
    async def main() -> None:
        async with fleet(2) as made:
            first = await started(made, "a.service", STOPS)
            async with never_twice(made, "a.service"):
                with made.clients[first].outage():
                    await made.until(lambda: made.runs_on("a.service") == [3 - first], "it moves", within_s=WITHIN_S)
                    assert machine_id(first) not in made.mirror.snapshot.machines
                await made.until(lambda: made.active("a.service") == [f"worker-{3 - first}"], "it is active there")
                await made.until(lambda: len(made.mirror.snapshot.machines) == 2, "the machine returns")
                await made.until(lambda: "a.service" not in made.supervisors[first].known(), "it is given up")

    asyncio.run(main())


def test_a_unit_that_has_no_other_place_is_started_again_when_its_machine_returns() -> None:
    async def main() -> None:
        async with fleet(1) as made:
            await started(made, "a.service", STOPS)
            ran_until: list[list[int]] = []

            def look(_: object) -> None:
                if not made.mirror.snapshot.machines:
                    ran_until.append(made.runs_on("a.service"))

            with made.mirror.listening(look), made.clients[1].outage():
                await made.until(lambda: ran_until, "the lease ends", within_s=WITHIN_S)
            assert ran_until[0] == [], "it was stopped before"
            await made.until(lambda: made.active("a.service"), "it runs again", within_s=WITHIN_S)

    asyncio.run(main())


def test_a_short_silence_stops_nothing() -> None:
    async def main() -> None:
        async with fleet(1) as made:
            await started(made, "a.service", STOPS)
            before = made.supervisors[1].running()
            for _ in range(2):
                with made.clients[1].outage():
                    await asyncio.sleep(QUICK.election_s)
                await asyncio.sleep(2 * QUICK.renew_every_s)
            assert made.supervisors[1].running() == before

    asyncio.run(main())


def test_units_that_keep_go_on_and_the_extra_copy_is_stopped_on_return() -> None:
    async def main() -> None:
        async with fleet(2) as made:
            first = await started(made, "a.service", KEEPS)
            client = Deaf(made.store)
            await made.agents[first].stop()
            await made.start_agent(first, store=client).listed.wait()
            before = made.supervisors[first].running()
            with client.outage():
                client.hears.clear()
                await made.until(
                    lambda: made.active("a.service") == [f"worker-{3 - first}"], "moved", within_s=WITHIN_S
                )
                assert made.supervisors[first].running() == before
            await made.until(lambda: made.runs_on("a.service") == [3 - first], "one copy is left")

    asyncio.run(main())


@pytest.mark.parametrize("text", [pytest.param(STOPS, id="stop"), pytest.param(KEEPS, id="keep")])
def test_an_agent_that_is_killed_and_comes_back_changes_nothing(text: str) -> None:
    async def main() -> None:
        async with fleet(2) as made:
            first = await started(made, "a.service", text)
            before = made.supervisors[first].running()
            for _ in range(3):
                await made.agents[first].stop()
                agent = made.start_agent(first, role="inaetics-agent")
                await agent.listed.wait()
            await asyncio.sleep(LEASE_S)
            assert made.supervisors[first].running() == before
            assert made.where("a.service") == [f"worker-{first}"]

    asyncio.run(main())


def test_an_agent_that_does_not_come_back_leaves_no_unit_that_stops() -> None:
    async def main() -> None:
        async with fleet(2) as made:
            first = await started(made, "a.service", STOPS)
            async with never_twice(made, "a.service"):
                await made.agents[first].stop()
                await made.until(lambda: made.runs_on("a.service") == [], "it stops", within_s=WITHIN_S)
                await made.until(lambda: made.runs_on("a.service") == [3 - first], "it moves", within_s=WITHIN_S)

    asyncio.run(main())


def test_a_machine_that_returns_to_a_changed_fleet_does_not_start_on_the_word_of_old_placements() -> None:
    """The unit was destroyed while the machine was away; and its watch is behind, as one is whose connection died."""

    async def main() -> None:
        async with fleet(1) as made:
            client = Deaf(made.store)
            await made.agents[1].stop()
            made.start_agent(1, store=client)
            await started(made, "a.service", STOPS)
            supervisor = made.supervisors[1]
            with client.outage():
                client.hears.clear()
                await made.until(lambda: made.runs_on("a.service") == [], "it stops", within_s=WITHIN_S)
                await made.until(lambda: not made.mirror.snapshot.machines, "the lease ends", within_s=WITHIN_S)
                await made.registry.destroy("a.service")
                starts = supervisor.calls.count(("start", "a.service"))
            await made.until(lambda: made.mirror.snapshot.machines, "the machine returns", within_s=WITHIN_S)
            await made.until(lambda: "a.service" not in supervisor.known(), "it is given up", within_s=WITHIN_S)
            assert supervisor.calls.count(("start", "a.service")) == starts

    asyncio.run(main())


# ---- the host's disk


async def _boot_without_store(made: Fleet, file: Path) -> ExitStack:
    """Cut the power of worker-1 and boot it cut off from the store; closing what is returned heals that."""
    await made.agents[1].stop()
    made.supervisors[1].reboot()
    client, away = made.store.client(), ExitStack()
    away.enter_context(client.outage())
    made.start_agent(1, store=client, desired_file=file)
    return away


def _on_disk(file: Path) -> set[str]:
    content = file.read_bytes()
    try:
        return set(json.loads(content)["units"])
    except ValueError as error:
        raise AssertionError(f"not JSON: {content!r}") from error


def _write(file: Path, texts: dict[str, str]) -> None:
    units = {name: {"hash": name, "desired": "launched"} for name in texts}
    file.write_text(json.dumps({"version": 1, "machine": machine_id(1), "units": units, "texts": texts}))


def test_a_host_that_boots_without_the_store_starts_what_keeps(tmp_path: Path) -> None:
    async def main() -> None:
        async with fleet(1) as made:
            file = tmp_path / "desired.json"
            await made.agents[1].stop()
            made.start_agent(1, desired_file=file)
            await started(made, "keeps.service", KEEPS)
            await started(made, "stops.service", STOPS)
            await made.registry.submit("loaded.service", KEEPS, desired=Desired.LOADED)
            await made.until(lambda: len(_on_disk(file)) == 3, "all are on the disk")
            assert file.stat().st_mode & 0o777 == 0o600

            away = await _boot_without_store(made, file)
            await made.until(lambda: made.supervisors[1].running().keys() == {"keeps.service"}, "it starts")
            assert made.supervisors[1].known() == {"keeps.service"}
            kept = made.supervisors[1].running()
            away.close()
            await made.until(lambda: len(made.active("stops.service")) == 1, "the store answers", within_s=WITHIN_S)
            assert made.supervisors[1].running()["keeps.service"] == kept["keeps.service"]

    asyncio.run(main())


def test_what_was_moved_while_the_host_was_off_is_stopped_once_the_store_answers(tmp_path: Path) -> None:
    async def main() -> None:
        async with fleet(1) as made:
            file = tmp_path / "desired.json"
            await made.agents[1].stop()
            made.start_agent(1, desired_file=file)
            await started(made, "a.service", KEEPS)
            await made.until(lambda: _on_disk(file) == {"a.service"}, "it is on the disk")
            away = await _boot_without_store(made, file)
            await made.until(lambda: made.runs_on("a.service") == [1], "it starts")
            await made.registry.destroy("a.service")
            away.close()
            await made.until(lambda: made.runs_on("a.service") == [], "it stops", within_s=WITHIN_S)
            await made.until(lambda: _on_disk(file) == set(), "the disk forgets it")

    asyncio.run(main())


def test_while_the_store_answers_in_time_the_disk_is_not_asked(tmp_path: Path) -> None:
    async def main() -> None:
        async with fleet(1) as made:
            file = tmp_path / "desired.json"
            await made.agents[1].stop()
            made.supervisors[1].reboot()
            _write(file, {"old.service": KEEPS})
            made.start_agent(1, desired_file=file, settings=replace(QUICK, disk_grace_s=20))
            await made.until(lambda: _on_disk(file) == set(), "what is not placed is forgotten")
            assert ("start", "old.service") not in made.supervisors[1].calls

    asyncio.run(main())


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"version": 1, "units": {"a.serv', id="cut off"),
        pytest.param(b'{"version": 1, "machine": "another", "units": {}, "texts": {}}', id="another machine's"),
        pytest.param(b"\xff\x00", id="rubbish"),
    ],
)
def test_a_file_that_makes_no_sense_stops_nobody(tmp_path: Path, content: bytes) -> None:
    async def main() -> None:
        async with fleet(1) as made:
            file = tmp_path / "desired.json"
            await made.agents[1].stop()
            file.write_bytes(content)
            made.start_agent(1, desired_file=file)
            await started(made, "a.service", KEEPS)
            await made.until(lambda: _on_disk(file) == {"a.service"}, "it is written anew")

    asyncio.run(main())
