"""One unit's way through registry, engine, agent and supervisor, and back to whoever asks."""

from __future__ import annotations

import asyncio

from inaetics.fleet.model import Desired
from tests.support.fleet import fleet, service


def test_a_started_unit_is_placed_run_and_reported() -> None:
    async def main() -> None:
        async with fleet(3) as made:
            await made.registry.submit("a.service", service(), desired=Desired.LAUNCHED)
            await made.until(lambda: made.active("a.service") == ["worker-1"], "a is active on worker-1")
            assert made.runs_on("a.service") == [1]

    asyncio.run(main())
