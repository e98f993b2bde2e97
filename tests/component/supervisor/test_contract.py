"""What `Supervisor` promises, asked of the fake that other rooms test with and of the real one alike."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from inaetics.errors import NotFound
from inaetics.supervisor.protocol import Active, Supervisor, UnitGone, UnitStatus
from tests.component.supervisor.daemon import WITHIN_S, daemon, service
from tests.support.fake_supervisor import FakeSupervisor

SLEEP = service("ExecStart=/bin/sleep 1000")
OTHER = service("ExecStart=/bin/sleep 1001")


@asynccontextmanager
async def _embedded() -> AsyncIterator[Supervisor]:
    async with daemon() as it:
        yield it.client


@asynccontextmanager
async def _fake() -> AsyncIterator[Supervisor]:
    yield FakeSupervisor()


Maker = Callable[[], AbstractAsyncContextManager[Supervisor]]

each = pytest.mark.parametrize("make", [pytest.param(_fake, id="fake"), pytest.param(_embedded, id="embedded")])


async def _until(supervisor: Supervisor, name: str, wanted: Callable[[UnitStatus | None], bool]) -> UnitStatus | None:
    """Watch until the unit's status (None: gone) is as wanted."""
    if name not in await supervisor.states() and wanted(None):
        return None
    async with asyncio.timeout(WITHIN_S):
        async for change in supervisor.watch():
            if change.name == name and wanted(None if isinstance(change, UnitGone) else change):
                return None if isinstance(change, UnitGone) else change
    raise AssertionError("a watch ended by itself")


def _is(active: Active) -> Callable[[UnitStatus | None], bool]:
    return lambda status: status is not None and status.active is active


@each
def test_the_life_of_a_unit(make: Maker) -> None:
    async def main() -> None:
        async with make() as supervisor:
            assert await supervisor.states() == {}
            await supervisor.load("a.service", SLEEP)
            loaded = (await supervisor.states())["a.service"]
            assert (loaded.active, loaded.load, loaded.main_pid) == (Active.INACTIVE, "loaded", None)
            assert loaded.content_hash == hashlib.sha256(SLEEP.encode()).hexdigest()
            await supervisor.start("a.service")
            running = await _until(supervisor, "a.service", _is(Active.ACTIVE))
            assert running is not None
            assert (running.sub, running.main_pid is not None) == ("running", True)
            await supervisor.stop("a.service")
            stopped = await _until(supervisor, "a.service", _is(Active.INACTIVE))
            assert stopped is not None
            assert stopped.main_pid is None
            await supervisor.unload("a.service")
            await _until(supervisor, "a.service", lambda status: status is None)

    asyncio.run(main())


@each
def test_asking_twice_changes_nothing(make: Maker) -> None:
    async def main() -> None:
        async with make() as supervisor:
            await supervisor.load("a.service", SLEEP)
            await supervisor.start("a.service")
            first = await _until(supervisor, "a.service", _is(Active.ACTIVE))
            await supervisor.load("a.service", SLEEP)
            await supervisor.start("a.service")
            assert (await supervisor.states())["a.service"] == first
            for _ in range(2):
                await supervisor.stop("a.service")
                await _until(supervisor, "a.service", _is(Active.INACTIVE))
            for _ in range(2):
                await supervisor.unload("a.service")
                await _until(supervisor, "a.service", lambda status: status is None)
            await supervisor.stop("a.service")

    asyncio.run(main())


@each
def test_new_content_takes_effect_at_the_next_start(make: Maker) -> None:
    async def main() -> None:
        async with make() as supervisor:
            await supervisor.load("a.service", SLEEP)
            await supervisor.start("a.service")
            first = await _until(supervisor, "a.service", _is(Active.ACTIVE))
            assert first is not None
            await supervisor.load("a.service", OTHER)
            second = (await supervisor.states())["a.service"]
            assert (second.main_pid, second.active) == (first.main_pid, Active.ACTIVE)
            assert second.content_hash == hashlib.sha256(OTHER.encode()).hexdigest()
            assert second.run_hash == hashlib.sha256(SLEEP.encode()).hexdigest()
            await supervisor.restart("a.service")
            third = await _until(
                supervisor,
                "a.service",
                lambda status: status is not None and status.sub == "running" and status.main_pid != first.main_pid,
            )
            assert third is not None

    asyncio.run(main())


@each
def test_a_running_unit_that_is_unloaded_is_stopped_and_gone(make: Maker) -> None:
    async def main() -> None:
        async with make() as supervisor:
            await supervisor.load("a.service", SLEEP)
            await supervisor.start("a.service")
            await _until(supervisor, "a.service", _is(Active.ACTIVE))
            await supervisor.unload("a.service")
            await _until(supervisor, "a.service", lambda status: status is None)
            with pytest.raises(NotFound):
                await supervisor.start("a.service")

    asyncio.run(main())


@each
def test_what_was_never_loaded_cannot_be_started(make: Maker) -> None:
    async def main() -> None:
        async with make() as supervisor:
            for ask in (supervisor.start, supervisor.restart):
                with pytest.raises(NotFound, match=r"a\.service"):
                    await ask("a.service")
            with pytest.raises(NotFound, match=r"a\.service"):
                async for _line in supervisor.journal("a.service"):
                    pass

    asyncio.run(main())
