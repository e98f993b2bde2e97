"""Waiting for the mirror: writes that are seen, held requests that end, a first reading that is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from inaetics.api.agents import RemoteAgents
from inaetics.api.pulse import Pulse
from inaetics.api.services import Services
from inaetics.errors import Unavailable
from inaetics.fleet.events_chronicle import Chronicle
from inaetics.fleet.mirror import Mirror
from inaetics.fleet.registry import Registry
from inaetics.store.fake import FakeStore

TEXT = "[Service]\nExecStart=/bin/true\n"


def with_services(test: Callable[[Services], Awaitable[None]]) -> None:
    """Run `test` over a mirror that does not follow the store until the test says so."""

    async def main() -> None:
        import ssl

        store = FakeStore()
        mirror = Mirror(store)
        services = Services(
            store=store,
            mirror=mirror,
            registry=Registry(store),
            agents=RemoteAgents(ssl.create_default_context()),
            pulse=Pulse(store, within_s=0.2),
            chronicle=Chronicle(store, mirror),
            stopping=asyncio.Event(),
        )
        await test(services)

    asyncio.run(main())


def test_a_write_is_answered_once_reads_show_it() -> None:
    async def check(services: Services) -> None:
        unit = await services.registry.submit("hello.service", TEXT)
        async with asyncio.TaskGroup() as group:
            seen = group.create_task(services.seen(unit.revision))
            await asyncio.sleep(0.05)
            assert not seen.done()
            following = group.create_task(services.mirror.run())
            assert await seen == unit.revision
            assert "hello.service" in (await services.snapshot()).units
            following.cancel()

    with_services(check)


def test_a_write_whose_changes_never_come_is_done_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inaetics.api.services.CATCH_UP_S", 0.05)

    async def check(services: Services) -> None:
        assert await services.seen(7) == 7
        assert services.pulse.stale is not None

    with_services(check)


def test_a_request_before_the_first_reading_waits_for_it_then_teaches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inaetics.api.services.FIRST_READING_S", 0.05)

    async def check(services: Services) -> None:
        with pytest.raises(Unavailable, match="etcd"):
            await services.snapshot()

    with_services(check)


def test_a_held_request_ends_when_the_process_is_to_stop() -> None:
    async def check(services: Services) -> None:
        async with asyncio.TaskGroup() as group:
            following = group.create_task(services.mirror.run())
            await services.snapshot()
            held = group.create_task(services.changed(10_000, 60))
            await asyncio.sleep(0.05)
            assert not held.done()
            services.stopping.set()
            async with asyncio.timeout(30):
                await held
            following.cancel()

    with_services(check)


def test_a_silence_is_noticed_and_its_end() -> None:
    async def check(services: Services) -> None:
        store = services.store
        assert isinstance(store, FakeStore)
        with store.outage():
            await services.pulse.beat()
            assert services.pulse.stale is not None
            assert services.health().store == "silent"
        await services.pulse.beat()
        assert services.health().store == "ok"

    with_services(check)
