"""Reading events over the API: once, or following them from one host to the next without missing or repeating one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import urlencode

import msgspec

from inaetics.api.client import FleetClient
from inaetics.api.events_wire import HEARTBEAT_S, EventEntry, EventList
from inaetics.errors import Unavailable

_PATH = "/inaetics/v1/events"
_AGAIN_S = 0.5
_SILENCE_S = 2.5 * HEARTBEAT_S
"""A stream that says nothing for this long is left for another host's."""


def events(client: FleetClient, **query: str | int | float) -> EventList:
    """What happened: `unit`, `machine`, `kind` and `since` (Unix seconds) choose, `after` and `limit` page."""
    return client.get_as(f"{_PATH}?{urlencode(query)}", EventList)


def follow(
    client: FleetClient, *, broke: Callable[[Unavailable], None], **query: str | int | float
) -> Iterator[EventEntry]:
    """Yield the last `limit` events, then every one as it happens, for ever.

    When the host that answers dies, another one goes on behind the last event; `broke` is told.
    """
    last = ""
    while True:
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last else {})
        try:
            for line in client.lines(f"{_PATH}?{urlencode(query)}", headers, silence_s=_SILENCE_S):
                if line.startswith(":"):
                    last = _later(last, line[1:].strip())
                elif line.startswith("data:"):
                    event = msgspec.json.decode(line[5:], type=EventEntry)
                    if _is_later(event.id, last):
                        last = event.id
                        yield event
        except Unavailable as error:
            broke(error)
        else:
            broke(Unavailable("the stream of events ended"))
        client = client.turned()
        time.sleep(_AGAIN_S)


def _later(one: str, other: str) -> str:
    return other if _is_later(other, one) else one


def _is_later(one: str, other: str) -> bool:
    return _position(one) > _position(other)


def _position(text: str) -> tuple[int, int]:
    revision, _, index = text.partition(".")
    return (int(revision), int(index or -1)) if revision.isdecimal() else (-1, -1)


def what(event: EventEntry) -> str:
    """The event's particulars, as people read them."""
    pieces = (
        f"from {event.left}" if event.left and event.kind in ("moved", "failover") else "",
        _timeline(event),
        event.message,
        event.reason if event.timeline is None else "",
    )
    return "; ".join(piece for piece in pieces if piece)


def _timeline(event: EventEntry) -> str:
    """`detected → decided 12 ms → pulled 230 ms → …`, each since the loss was detected."""
    line = event.timeline
    if line is None:
        return ""
    seen = line.detected_at is not None
    steps: Mapping[str, int | None] = {
        "decided": line.decided_ms if seen else None,
        "pulled": line.pulled_ms,
        "started": line.started_ms,
        "active": line.active_ms,
    }
    told = (f"{name} {ms} ms" for name, ms in steps.items() if ms is not None)
    return " → ".join(("detected" if seen else "decided", *told))
