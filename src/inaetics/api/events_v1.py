"""`/inaetics/v1/events`: what happened, as a list, or as a stream (server-sent events) that goes on.

A stream keeps nothing for its client: it reads on from memory as fast as the client takes it, and ends when the client
takes nothing for `STALL_S`, or so little that what it should get next is forgotten. `Last-Event-ID` resumes, here or at
another host.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from inaetics.api.events_wire import HEARTBEAT_S, EventEntry, EventList, TimelineEntry
from inaetics.api.replies import reply
from inaetics.api.services import FIRST_READING_S, Services
from inaetics.errors import InvalidInput
from inaetics.fleet.events import Clock, Event, Kind, Position, Timeline, read_position, write_position
from inaetics.fleet.events_chronicle import Chronicle
from inaetics.fleet.events_ring import Wanted
from inaetics.override import override
from inaetics.tasks import TaskGroup

PATH = "/inaetics/v1/events"
MAX_EVENTS = 10_000
STALL_S = 20.0
_AT_ONCE = 200

_log = structlog.get_logger()


def routes(services: Services) -> list[Route]:
    """The resource of events."""
    return [Route(PATH, _Events(services).get, methods=["GET"])]


class _Events:
    def __init__(self, services: Services) -> None:
        self._services = services

    async def get(self, request: Request) -> Response:
        wanted, after, limit = _wanted(request), _after(request), _limit(request)
        chronicle = self._services.chronicle
        await chronicle.ready(within_s=FIRST_READING_S)
        if "text/event-stream" in request.headers.get("accept", ""):
            pieces = _stream(chronicle, wanted, after, limit, self._services.stopping)
            return SteadyStream(pieces)
        if after is None:
            events, last = list(chronicle.latest(wanted, limit)), chronicle.last
        else:
            events, last = chronicle.after(after, wanted, limit)
        forgotten = chronicle.forgotten
        return reply(
            EventList(
                last=write_position(_shown(last)),
                events=tuple(_entry(event) for event in events),
                forgotten=write_position(forgotten) if forgotten else None,
            )
        )


async def _stream(
    chronicle: Chronicle, wanted: Wanted, after: Position | None, limit: int, stopping: asyncio.Event
) -> AsyncIterator[bytes]:
    """What is wanted of the past (`after`, or the last `limit`), then everything as it happens."""
    yield b"retry: 500\n\n"
    if after is None:
        after = chronicle.last
        for event in chronicle.latest(wanted, limit):
            yield _piece(_entry(event))
    while not stopping.is_set():
        forgotten = chronicle.forgotten
        if forgotten and forgotten > after:
            yield _piece(_entry(_missed(forgotten)))
            after = forgotten
        events, after = chronicle.after(after, wanted, _AT_ONCE)
        for event in events:
            yield _piece(_entry(event))
        if not events:
            yield f": {write_position(_shown(after))}\n\n".encode()
            await _next(chronicle, after, stopping)


async def _next(chronicle: Chronicle, after: Position, stopping: asyncio.Event) -> None:
    """Wait for an event behind `after`, for the time of a heartbeat, or for the end of this process."""
    async with TaskGroup() as group:
        waits = [
            group.create_task(chronicle.moved(after), name="events: next"),
            group.create_task(stopping.wait(), name="events: end"),
        ]
        await asyncio.wait(waits, timeout=HEARTBEAT_S, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()


def _piece(event: EventEntry) -> bytes:
    return b"id: %s\ndata: %s\n\n" % (event.id.encode(), msgspec.json.encode(event))


def _missed(forgotten: Position) -> Event:
    return Event(
        revision=forgotten[0],
        index=forgotten[1],
        time=time.time(),
        clock=Clock.SEEN,
        kind=Kind.HISTORY,
        message="what happened before is not known here any more",
    )


class SteadyStream(StreamingResponse):
    """A stream whose client must go on reading: it ends when the client takes nothing for `stall_s`."""

    def __init__(self, pieces: AsyncIterator[bytes], *, stall_s: float = STALL_S) -> None:
        super().__init__(pieces, media_type="text/event-stream", headers={"Cache-Control": "no-store"})
        self._stall_s = stall_s

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(self._stall_s):
                await send(message)

        try:
            await super().__call__(scope, receive, send_in_time)
        except* TimeoutError:
            _log.info("client of events reads no more", client=str(scope.get("client")))


def _wanted(request: Request) -> Wanted:
    query = request.query_params
    return Wanted(
        unit=query.get("unit", ""),
        machine=query.get("machine", ""),
        kind=_kind(query.get("kind", "")),
        since=_since(query.get("since", "")),
    )


def _kind(text: str) -> str:
    if text and text not in set(Kind):
        raise InvalidInput(f"query parameter kind={text!r}: there are {', '.join(Kind)}")
    return text


def _since(text: str) -> float:
    try:
        since = float(text or "0")
    except ValueError:
        since = -1.0
    if not 0 <= since < 1e12:
        raise InvalidInput(f"query parameter since={text!r}: give Unix seconds")
    return since


def _after(request: Request) -> Position | None:
    text = request.headers.get("last-event-id") or request.query_params.get("after")
    if text is None:
        return None
    position = read_position(text)
    if position is None:
        raise InvalidInput(f"query parameter after={text!r}: give the id of an event, as 1234.8, or a revision")
    return position


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", "100")
    if not text.isascii() or not text.isdecimal() or int(text) > MAX_EVENTS:
        raise InvalidInput(f"query parameter limit={text!r}: give a whole number from 0 to {MAX_EVENTS}")
    return int(text)


def _shown(position: Position) -> Position:
    """Before the first event is before everything."""
    return (position[0], max(position[1], 0))


def _entry(event: Event) -> EventEntry:
    """An event, for clients."""
    return EventEntry(
        id=write_position(event.position),
        time=event.time,
        clock=event.clock.value,
        kind=event.kind.value,
        unit=event.unit,
        machine=event.machine,
        machine_id=event.machine_id,
        left=event.left,
        reason=event.reason,
        message=event.message,
        timeline=_timeline(event.timeline) if event.timeline else None,
    )


def _timeline(timeline: Timeline) -> TimelineEntry:
    return TimelineEntry(
        detected_at=timeline.detected_at,
        decided_ms=timeline.decided_ms,
        pulled_ms=timeline.pulled_ms,
        started_ms=timeline.started_ms,
        active_ms=timeline.active_ms,
    )
