"""The agent's part of `OnLost=stop`: when the supervisor is armed, and for how long."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

from typing_extensions import override

from inaetics.errors import Unavailable
from inaetics.fleet.agent_touch import Touch
from inaetics.fleet.model import UnitName
from inaetics.fleet.settings import AgentSettings
from inaetics.store.fake import FakeStore
from tests.support.eventually import aeventually
from tests.support.fake_supervisor import FakeSupervisor

TIMES = replace(AgentSettings().touch, renew_every_s=0.05)
UNIT = UnitName("a.service")


class Slow(FakeSupervisor):
    """Whoever calls it is paused before the call is made."""

    @override
    async def arm(self, within_s: float, *, since: float | None = None) -> None:
        time.sleep(0.3)  # noqa: ASYNC251 - the whole process is paused
        await super().arm(within_s, since=since)


class Away(FakeSupervisor):
    @override
    async def arm(self, within_s: float, *, since: float | None = None) -> None:
        raise Unavailable("the supervisor does not answer")


async def _eventually(check: object, what: str) -> None:
    assert callable(check)

    async def look() -> object:
        return check()

    await aeventually(look, within_s=10, what=what)


def test_the_deadline_stands_before_the_lease_ends_also_when_the_agent_is_paused() -> None:
    async def main() -> None:
        supervisor = Slow()
        touch = Touch(supervisor, TIMES, lambda: None)
        touch.concern(UNIT, stops=True)
        async with FakeStore().lease(5) as lease, asyncio.TaskGroup() as group:
            before = lease.deadline
            holding = group.create_task(touch.hold(lease))
            await _eventually(lambda: touch.held, "it is armed")
            assert supervisor.armed_until <= before + 0.05 - TIMES.margin_s
            holding.cancel()

    asyncio.run(main())


def test_it_is_armed_again_after_each_renewal_while_some_unit_needs_it() -> None:
    async def main() -> None:
        supervisor, regained = FakeSupervisor(), []
        touch = Touch(supervisor, TIMES, lambda: regained.append(touch.held))
        async with FakeStore().lease(5) as lease, asyncio.TaskGroup() as group:
            holding = group.create_task(touch.hold(lease))
            await asyncio.sleep(0.2)
            assert not touch.held, "no unit needs it, so it costs nothing"
            touch.concern(UNIT, stops=True)
            await _eventually(lambda: touch.held, "it is armed")
            first = supervisor.armed_until
            await _eventually(lambda: supervisor.armed_until > first, "it is armed again")
            assert regained == [True], "told once"
            touch.concern(UNIT, stops=False)
            await _eventually(lambda: not touch.held, "nobody needs it any more")
            holding.cancel()
        assert not touch.held

    asyncio.run(main())


def test_without_the_supervisors_word_it_is_not_held() -> None:
    async def main() -> None:
        touch = Touch(Away(), TIMES, lambda: None)
        touch.concern(UNIT, stops=True)
        async with FakeStore().lease(5) as lease, asyncio.TaskGroup() as group:
            holding = group.create_task(touch.hold(lease))
            await asyncio.sleep(0.3)
            assert not touch.held
            holding.cancel()

    asyncio.run(main())
