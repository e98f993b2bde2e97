"""A thousand processes under one supervisor."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from inaetics.supervisor.protocol import Active
from tests.component.supervisor.daemon import Daemon, daemon, service
from tests.support.eventually import aeventually

WITHIN_S = 240.0
"""Only a failure ever takes it."""

_PAUSE_S = 0.3
"""A look at all of them is work for the daemon too."""


async def _all(it: Daemon, active: Active, count: int) -> None:
    async def look() -> bool:
        await asyncio.sleep(_PAUSE_S)
        return Counter(status.active for status in (await it.client.states()).values()) == {active: count}

    await aeventually(look, within_s=WITHIN_S, what=f"all are {active}")


@pytest.mark.timeout(2 * WITHIN_S)
@pytest.mark.parametrize("many", [150, pytest.param(1000, marks=pytest.mark.soak)])
def test_so_many_units_start_are_adopted_and_stop(many: int) -> None:
    async def main() -> None:
        async with daemon() as it:
            it.stop_within_s = 60.0
            names = [f"a@{number}.service" for number in range(many)]
            for name in names:
                await it.start(name, service("ExecStart=/bin/sleep 100000"))
            await _all(it, Active.ACTIVE, many)
            before = await _pids(it)
            assert len(set(before.values())) == many
            await it.again()
            assert await _pids(it) == before
            assert len(it.processes()) == many
            for name in names[: many // 2]:
                await it.client.restart(name)
            await aeventually(_others(it, before, many // 2), within_s=WITHIN_S, what="half are new")
            for name in names:
                await it.client.stop(name)
            await _all(it, Active.INACTIVE, many)
            assert not it.processes()

    asyncio.run(main())


async def _pids(it: Daemon) -> dict[str, int | None]:
    return {name: status.main_pid for name, status in (await it.client.states()).items()}


def _others(it: Daemon, before: dict[str, int | None], count: int) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        await asyncio.sleep(_PAUSE_S)
        now = await _pids(it)
        return sum(now[name] not in (None, before[name]) for name in before) == count and None not in now.values()

    return look
