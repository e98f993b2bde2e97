"""An agent that is killed before or after any of its calls to the store and the supervisor, while units come, change
and go: its successor carries out what is wanted, and nothing else.

A kill takes nothing back: the lease stays, units go on, and whoever waits for an answer is gone.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from inaetics.fleet.model import Desired, UnitName
from inaetics.store.fake import FakeStore
from tests.support.fake_supervisor import FakeSupervisor
from tests.support.fleet import Fleet, fleet, service

LAUNCHED, INACTIVE = Desired.LAUNCHED, Desired.INACTIVE
CHANGED = service() + "# changed\n"
LEAST, MOST = 14, 40
"""How many crossings an agent makes that does all this: at least, and certainly fewer than. Reports may go together."""


@dataclass
class Killer:
    """Kills at the `at`-th crossing: each call has one before it reaches the other side, and one after."""

    at: int
    kill: Callable[[], object]
    crossed: int = 0
    armed: bool = False

    async def cross(self) -> None:
        if not self.armed:
            return
        self.crossed += 1
        if self.crossed >= self.at:
            self.kill()
            await asyncio.Event().wait()  # nobody is left to go on


class Watched:
    """Another object's methods, each coroutine with a crossing before and after it."""

    def __init__(self, inner: FakeStore | FakeSupervisor, killer: Killer) -> None:
        self._inner = inner
        self._killer = killer

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return partial(self._call, found) if inspect.iscoroutinefunction(found) else found

    async def _call(self, method: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        await self._killer.cross()
        answer = await method(*arguments, **named)
        await self._killer.cross()
        return answer


def _pid(made: Fleet, unit: str) -> int | None:
    return made.supervisors[1].running().get(unit)


def _starts(made: Fleet, unit: str) -> int:
    return sum(call in (("start", unit), ("restart", unit)) for call in made.supervisors[1].calls)


def _is_as_wanted(made: Fleet) -> bool:
    supervisor, snapshot = made.supervisors[1], made.mirror.snapshot
    assert set(supervisor.running()) == {"stays.service", "changes.service", "comes.service"}
    assert "goes.service" not in supervisor.known()
    assert supervisor.texts["changes.service"] == CHANGED
    wanted = {UnitName(name): snapshot.units[UnitName(name)].content_hash for name in supervisor.running()}
    told = {unit: state for (_, unit), state in snapshot.states.items()}
    assert {unit: state.content_hash for unit, state in told.items() if state.active == "active"} == wanted
    assert set(told) == set(wanted)
    assert {unit for _, unit in snapshot.placements} == set(wanted)
    return True


async def _killed_at(at: int) -> bool:
    """Kill the agent at this crossing; returns whether it came so far."""
    async with fleet(1) as made:
        await made.agents[1].stop()
        supervisor = made.supervisors[1]
        killer = Killer(at, kill=lambda: made.agents[1].task.cancel())
        watched: Any = Watched(supervisor, killer)
        made.supervisors[1] = watched
        made.start_agent(1, store=Watched(made.store.client(), killer))
        made.supervisors[1] = supervisor
        for unit in ("stays.service", "changes.service", "goes.service"):
            await made.registry.submit(unit, service(), desired=LAUNCHED)
        for unit in ("stays.service", "changes.service", "goes.service"):
            await made.until(partial(made.active, unit), f"{unit} is active")
        stays, changes = _pid(made, "stays.service"), _starts(made, "changes.service")

        killer.armed = True
        await made.registry.submit("comes.service", service(), desired=LAUNCHED)
        await made.registry.submit("changes.service", CHANGED, replace=True)
        await made.registry.set_desired("goes.service", INACTIVE)
        await made.until(lambda: made.agents[1].task.done() or _is_as_wanted(made), "it is killed, or done")
        killed = made.agents[1].task.done()
        if killed:
            made.start_agent(1)
            await made.until(lambda: _is_as_wanted(made), f"all is as wanted, after a kill at {at}")
        assert _pid(made, "stays.service") == stays, f"killed at {at}"
        assert _starts(made, "stays.service") == 1, f"killed at {at}"
        assert _starts(made, "changes.service") - changes in ((1, 2) if killed else (1,)), f"killed at {at}"
        return killed


def test_an_agent_killed_at_any_point_leaves_nothing_half_done() -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            trials = [group.create_task(_killed_at(at), name=f"killed at {at}") for at in range(1, MOST + 1)]
        killed = [trial.result() for trial in trials]
        assert all(killed[:LEAST])
        assert not killed[-1], "there are more points than were tried"

    asyncio.run(main())
