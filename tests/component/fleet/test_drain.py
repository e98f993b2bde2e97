"""A drain with real agents and engines, over a leader that ends in the middle of it."""

from __future__ import annotations

import asyncio

from inaetics.fleet.model import Desired
from inaetics.fleet.operators import Operators, Words
from tests.support.fleet import Fleet, fleet, machine_id, service

UNITS = [f"a@{number}.service" for number in range(1, 5)]


async def watch(made: Fleet, least: list[int]) -> None:
    """Note the smallest number of units that really run at any instant, and that none runs twice."""
    while True:
        places = [made.runs_on(name) for name in UNITS]
        assert all(len(where) <= 1 for where in places), f"a unit runs twice: {places}"
        least[0] = min(least[0], sum(map(len, places)))
        await asyncio.sleep(0)


def test_a_drain_goes_on_under_the_next_leader_and_no_faster() -> None:
    async def main() -> None:
        async with fleet(2) as made:
            operators = Operators(made.store)
            await operators.say({machine_id(2): Words(cordoned=True)})
            for name in UNITS:
                await made.registry.submit(name, service(), desired=Desired.LAUNCHED)
            await made.until(lambda: all(made.active(name) == ["worker-1"] for name in UNITS), "all run on worker-1")
            await operators.say({machine_id(2): Words(cordoned=False)})
            least = [len(UNITS)]
            watching = made.run(lambda: watch(made, least), "watch")
            await operators.say({machine_id(1): Words(cordoned=True, draining=True, at_once=1)})
            await made.until(lambda: any(made.where(name) == ["worker-2"] for name in UNITS), "the first has left")
            await made.engines[0].stop()
            made.start_engine("worker-2")
            await made.until(lambda: all(made.active(name) == ["worker-2"] for name in UNITS), "all have left")
            assert not watching.task.done(), "nothing ran twice"
            await watching.stop()
            assert least == [len(UNITS) - 1], "one at a time, whoever leads"

    asyncio.run(main())
