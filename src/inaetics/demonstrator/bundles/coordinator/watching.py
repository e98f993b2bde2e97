"""Keeps a picture of the cluster: two threads, whose requests the API holds until there is something new."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

import msgspec
import structlog

from inaetics.demonstrator.api import Cluster, ClusterEvent
from inaetics.demonstrator.calls import Worker
from inaetics.errors import InaeticsError

from . import picture
from .fleet_api import FleetApi
from .picture import EventSaid, HostsSaid, UnitsSaid
from .scaling import ScaleSaid

log = structlog.get_logger()

HELD_S = 20.0
SILENCE_S = 25.0
"""The API's streams carry a heartbeat every 10 s."""

AGAIN_S = 0.5
LEAST_PAUSE_S = 0.3
PAUSE_FACTOR = 5
"""A reading that takes long (many units, a busy host) is made more rarely: it costs at most a sixth of the time."""


class Watching:
    """Reads on threads of its own from `start` to `stop`; `cluster` and `stale` are answered from memory."""

    def __init__(self, open_api: Callable[[], FleetApi]) -> None:
        self._pictures, self._stream = open_api(), open_api()
        self._lock = threading.Lock()
        self._events: deque[ClusterEvent] = deque(maxlen=picture.MOST_EVENTS)
        self._units: UnitsSaid | None = None
        self._hosts = HostsSaid()
        self._scale: ScaleSaid | None = None
        self._since: dict[str, int] = {}
        self._at_ms = 0
        self._stale = ""
        self._last_event = ""
        self._drawn: Cluster | None = None
        self._workers = (
            Worker("coordinator-cluster", self._read),
            Worker("coordinator-events", self._follow),
        )

    def start(self) -> None:
        for worker in self._workers:
            worker.start()

    def stop(self) -> None:
        self._pictures.abort()
        self._stream.abort()
        for worker in self._workers:
            worker.stop()
        self._pictures.close()
        self._stream.close()

    def cluster(self) -> Cluster | None:
        """The picture as last heard; None before the first time. It is the same object until something is new."""
        with self._lock:
            if self._drawn is None and self._units is not None:
                self._drawn = picture.cluster(
                    self._hosts,
                    self._units.units,
                    list(self._events),
                    at_ms=self._at_ms,
                    since=self._since,
                    stale=self._stale,
                )
            return self._drawn

    @property
    def stale(self) -> str:
        """Why the picture is not current; empty when it is."""
        return self._stale if self._units is not None else self._stale or "no control host has answered yet"

    @property
    def scale(self) -> ScaleSaid | None:
        """The sets as last heard; None before the first time."""
        return self._scale

    def scaled(self, said: ScaleSaid) -> None:
        """Take in what a wish was answered with, unless something newer is known."""
        with self._lock:
            if self._scale is None or said.revision >= self._scale.revision:
                self._scale = said

    def _read(self) -> float:
        current = self._units is not None and not self._stale
        held = f"?after={self._units.revision}&wait_s={HELD_S:g}" if self._units is not None and current else ""
        try:
            units = self._pictures.get(f"/inaetics/v1/units{held}", UnitsSaid, wait_s=HELD_S)
            began = time.monotonic()
            hosts = self._pictures.get("/inaetics/v1/hosts", HostsSaid)
            scale = self._pictures.get("/inaetics/v1/scale", ScaleSaid)
        except InaeticsError as error:
            if not self._stale:
                log.warning("cluster not heard of", reason=str(error))
            with self._lock:
                self._stale, self._drawn = str(error), None
            return AGAIN_S
        with self._lock:
            self._at_ms = round(time.time() * 1000)
            self._since = picture.since_when(self._hosts, hosts, self._since, at_ms=self._at_ms)
            self._units, self._hosts, self._stale, self._drawn = units, hosts, "", None
        self.scaled(scale)
        return max(LEAST_PAUSE_S, PAUSE_FACTOR * (time.monotonic() - began))

    def _follow(self) -> float:
        headers = {"Accept": "text/event-stream"}
        if self._last_event:
            headers["Last-Event-ID"] = self._last_event
        path = f"/inaetics/v1/events?limit={picture.MOST_EVENTS}"
        try:
            for line in self._stream.lines(path, headers, silence_s=SILENCE_S):
                if line.startswith("data:"):
                    self._take(msgspec.json.decode(line[5:], type=EventSaid))
        except (InaeticsError, msgspec.DecodeError) as error:
            log.debug("stream of events broke off", reason=str(error))  # the other thread says that nobody answers
        return AGAIN_S

    def _take(self, said: EventSaid) -> None:
        with self._lock:
            if _position(said.id) > _position(self._last_event):  # else another host has told it already
                self._last_event = said.id
                self._events.append(picture.event(said))
                self._drawn = None


def _position(event_id: str) -> tuple[int, int]:
    revision, _, index = event_id.partition(".")
    return (int(revision), int(index or -1)) if revision.isdecimal() else (-1, -1)
