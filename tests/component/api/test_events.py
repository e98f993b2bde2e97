"""`/inaetics/v1/events` and `fleetctl events`: lists, streams, and going on at another host."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from starlette.types import Message

from inaetics.api.client import FleetClient
from inaetics.api.events_client import events, follow
from inaetics.api.events_v1 import SteadyStream
from inaetics.api.events_wire import EventEntry
from inaetics.api.process import serve_over
from inaetics.cli.fleetctl import fleetctl
from inaetics.errors import InvalidInput, Unavailable
from tests.component.api.live import API_PORT, LiveFleet
from tests.support.eventually import eventually

TEXT = "[Service]\nExecStart=/bin/true\n"


@contextmanager
def another_api(fleet: LiveFleet, path: Path) -> Iterator[Callable[[], None]]:
    """A second API over the same store, at the Unix socket `path`; what is yielded ends it before the block's end."""
    settings = replace(fleet.settings, socket=path, port=API_PORT + 1, candidate="other", events=path.parent / "events")
    stopping, ready = asyncio.Event(), threading.Event()

    async def serve() -> None:
        await serve_over(fleet.store.client(), settings, stopping=stopping, ready=ready.set)

    async def stop() -> None:
        stopping.set()

    running = asyncio.run_coroutine_threadsafe(serve(), fleet._loop)
    assert ready.wait(30), "the second API does not start"
    try:
        yield lambda: fleet.call(stop)
    finally:
        fleet.call(stop)
        running.result(20)


def settled(client: FleetClient, unit: str, kind: str) -> tuple[EventEntry, ...]:
    """The unit's events, once there is one of `kind`."""

    def told() -> tuple[EventEntry, ...]:
        found = events(client, unit=unit, limit=100).events
        return found if kind in [event.kind for event in found] else ()

    return eventually(told, within_s=30, what=f"{unit} has an event {kind}")


def test_events_are_listed_chosen_and_paged(client: FleetClient) -> None:
    client.submit("a.service", TEXT, desired="launched")
    client.submit("b.service", TEXT, desired="launched")
    told = settled(client, "a.service", "active")
    assert [event.kind for event in told] == ["submitted", "placed", "active"]
    settled(client, "b.service", "active")
    assert {event.unit for event in events(client, machine=told[1].machine, kind="active").events} >= {"a.service"}
    page = events(client, unit="a.service", after=told[0].id, limit=1)
    assert [event.id for event in page.events] == [told[1].id] == [page.last]
    assert events(client, since=4e9).events == ()


@pytest.mark.parametrize("query", [{"after": "x"}, {"limit": "-1"}, {"since": "yesterday"}, {"kind": "nonsense"}])
def test_a_parameter_that_makes_no_sense_is_named(client: FleetClient, query: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(query))):
        events(client, **query)


def test_a_follower_goes_on_at_another_host_without_gap_or_repetition(fleet: LiveFleet, tmp_path: Path) -> None:
    """The first host goes in the middle of a unit's life; what follows comes from the second."""
    broken: list[str] = []
    with fleet.client() as client, another_api(fleet, tmp_path / "first.sock") as stop:
        endpoints = (f"unix://{tmp_path / 'first.sock'}", f"unix://{fleet.socket}")
        last = events(client, limit=1).last
        follower = follow(
            FleetClient(endpoints), broke=lambda error: broken.append(str(error)), unit="followed.service", after=last
        )
        client.submit("followed.service", TEXT, desired="launched")
        told = [next(follower) for _ in range(2)]
        stop()
        client.destroy("followed.service")
        while told[-1].kind != "removed":
            told.append(next(follower))
        assert broken
        assert [event.id for event in told] == [event.id for event in settled(client, "followed.service", "removed")]


def test_a_client_that_reads_no_more_is_dropped(fleet: LiveFleet) -> None:
    """What a stream may hold for its client is what one message takes: the next one waits, and then it ends."""
    sent: list[Message] = []

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)
        if len(sent) > 3:
            await asyncio.Event().wait()

    async def pieces() -> AsyncIterator[bytes]:
        while True:
            yield b"data: {}\n\n"

    async def main() -> None:
        async with asyncio.timeout(30):
            await SteadyStream(pieces(), stall_s=0.1)({"type": "http", "client": None}, receive, send)

    asyncio.run(main())
    assert len(sent) == 4


def test_fleetctl_prints_columns_and_json(fleet: LiveFleet, client: FleetClient) -> None:
    client.submit("printed.service", TEXT, desired="launched")
    told = settled(client, "printed.service", "active")
    base = ["--endpoint", f"unix://{fleet.socket}", "events", "--unit", "printed", "--since", "10min"]
    table = CliRunner().invoke(fleetctl, base, catch_exceptions=False).output.splitlines()
    assert table[0].split() == ["TIME", "(UTC)", "EVENT", "UNIT", "MACHINE", "WHAT"]
    assert [line.split()[2] for line in table[1:]] == [
        "submitted",
        "placed",
    ]  # its start was long ago, by its machine's clock
    assert "least loaded" in table[2]
    listed = json.loads(CliRunner().invoke(fleetctl, [*base[:-2], "-o", "json"], catch_exceptions=False).output)
    assert [event["id"] for event in listed] == [event.id for event in told]


def test_status_shows_the_last_events(fleet: LiveFleet, client: FleetClient) -> None:
    client.submit("shown.service", TEXT, desired="launched")
    settled(client, "shown.service", "active")
    base = ["--endpoint", f"unix://{fleet.socket}", "status", "shown"]
    output = CliRunner().invoke(fleetctl, base, catch_exceptions=False).output
    assert "submitted" in output
    assert "placed" in output


def test_no_api_at_all_is_told_and_waited_for(tmp_path: Path) -> None:
    told: list[Unavailable] = []

    class Enough(Exception):
        pass

    def broke(error: Unavailable) -> None:
        told.append(error)
        if len(told) == 2:
            raise Enough

    with pytest.raises(Enough):
        next(follow(FleetClient(f"unix://{tmp_path}/nobody.sock"), broke=broke))
    assert "no fleet API answers" in str(told[0])
