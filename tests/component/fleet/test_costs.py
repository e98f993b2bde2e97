"""What starting units costs: transactions, and who wakes. Counted, not timed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace

from typing_extensions import override

from inaetics.fleet import keys
from inaetics.fleet.batch import Wish
from inaetics.fleet.model import Desired
from inaetics.store.fake import FakeStore
from inaetics.store.protocol import Changed, WatchEvent
from inaetics.supervisor.protocol import Active, UnitGone, UnitStatus
from tests.support.fake_supervisor import FakeSupervisor
from tests.support.fleet import AGENT, Fleet, fleet, service

WORKERS = 5
PATIENT = replace(AGENT, passing_delay_s=10)
"""Reports of units on their way wait for more than a busy machine takes: what is counted here does not depend on it."""


def run(test: Callable[[Fleet], Awaitable[None]]) -> None:
    async def main() -> None:
        async with fleet(WORKERS, agents=PATIENT) as made:
            await test(made)

    asyncio.run(main())


class Counting(FakeStore):
    """A client of another store's data that counts the changes it is shown."""

    def __init__(self, of: FakeStore) -> None:
        self.__dict__.update(of.client().__dict__)
        self.shown: list[str] = []

    @override
    async def watch(self, prefix: str, *, after: int = 0) -> AsyncIterator[WatchEvent]:
        async for event in super().watch(prefix, after=after):
            if isinstance(event, Changed):
                self.shown.append(event.key)
            yield event


async def settled(made: Fleet, names: Sequence[str]) -> None:
    await made.until(lambda: all(made.active(name) for name in names), "all are active", within_s=60)


def test_one_unit_is_three_transactions_from_submit_to_active() -> None:
    async def test(made: Fleet) -> None:
        before = made.store.revision
        await made.registry.submit("a.service", service(), desired=Desired.LAUNCHED)
        await settled(made, ["a.service"])
        assert made.store.revision - before == 3, "the wish, the placement, the report"

    run(test)


class LateNews(FakeSupervisor):
    """What happens is told a moment after the call that made it happen has returned, as under load."""

    @override
    async def watch(self) -> AsyncIterator[UnitStatus | UnitGone]:
        async for event in super().watch():
            await asyncio.sleep(0.15)
            yield event


def test_a_unit_of_which_news_comes_late_is_three_transactions_too() -> None:
    """That it was not up yet when its start had been asked for is not told."""

    async def test(made: Fleet) -> None:
        supervisor = made.supervisors[WORKERS + 1] = LateNews()
        supervisor.add_system_unit("fleet-agent.service")
        made.start_agent(WORKERS + 1, late="yes")
        await made.until(lambda: len(made.mirror.snapshot.machines) == WORKERS + 1, "all machines are listed")
        before = made.store.revision
        await made.registry.submit("a.service", service("MachineMetadata=late=yes"), desired=Desired.LAUNCHED)
        await settled(made, ["a.service"])
        assert made.store.revision - before == 3

    run(test)


def test_many_units_share_transactions() -> None:
    async def test(made: Fleet) -> None:
        for supervisor in made.supervisors.values():
            supervisor.start_s = 0.02
        names = [f"a@{number}.service" for number in range(300)]
        before = made.store.revision
        await made.registry.submit_many([Wish(name=name, text=service(), desired=Desired.LAUNCHED) for name in names])
        await settled(made, names)
        assert made.store.revision - before <= 300 / 3

    run(test)


def test_one_agent_wakes_for_a_unit() -> None:
    async def test(made: Fleet) -> None:
        clients = {}
        for number in range(WORKERS + 1, WORKERS + 5):
            clients[number] = Counting(made.store)
            made.start_agent(number, store=clients[number])
        await made.until(lambda: len(made.mirror.snapshot.machines) == WORKERS + 4, "all machines are listed")
        names = [f"a@{number}.service" for number in range(WORKERS + 4)]
        for name in names:
            await made.registry.submit(name, service(), desired=Desired.LAUNCHED)
        await settled(made, names)
        placements = Counter(
            key for client in clients.values() for key in client.shown if key.startswith(keys.PLACEMENTS)
        )
        assert len(placements) == 4, "as many as were placed on these machines"
        assert set(placements.values()) == {1}
        assert all(len(client.shown) == 1 for client in clients.values()), "and nothing else"

    run(test)


def test_a_restart_by_its_supervisor_is_told_twice_at_most() -> None:
    async def test(made: Fleet) -> None:
        await made.registry.submit("a.service", service(), desired=Desired.LAUNCHED)
        await settled(made, ["a.service"])
        (number,) = made.runs_on("a.service")
        before = made.store.revision
        made.supervisors[number].end("a.service", Active.FAILED, result="exit-code")
        await made.supervisors[number].start("a.service")
        await settled(made, ["a.service"])
        assert made.store.revision - before <= 2

    run(test)
