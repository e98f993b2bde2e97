"""What this process counts, and what it shows of the fleet, for Prometheus: `GET /metrics`.

What can be read off the fleet's copy is read when somebody asks. Every host that serves the API shows the same fleet;
the rest is its own.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter as Tally
from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from inaetics.api import views
from inaetics.api.services import Services
from inaetics.fleet.events_ring import Wanted
from inaetics.override import override

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

PATH = "/metrics"
KIND = "text/plain; version=0.0.4; charset=utf-8"

_EVENTS_AT_ONCE = 1000


def routes(services: Services) -> list[Route]:
    """The resource; the fleet's part is read when it is asked for."""
    services.metrics.registry.register(_Fleet(services))

    async def metrics(request: Request) -> Response:
        return Response(generate_latest(services.metrics.registry), media_type=KIND)

    return [Route(PATH, metrics, methods=["GET"])]


class _Fleet(Collector):
    """The fleet as this process's copy shows it, and what the chronicle has told since the last time."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._events: Tally[str] = Tally()
        self._position = services.chronicle.last

    @override
    def collect(self) -> Iterator[Metric]:
        snapshot, pulse = self._services.mirror.snapshot, self._services.pulse
        states = Tally(state.active for state in snapshot.states.values() if state.load != views.ABSENT)
        yield _gauge("inaetics_units", "What machines report of units.", "active", states)
        wanted = Tally(unit.desired.value for unit in snapshot.units.values())
        yield _gauge("inaetics_units_desired", "Units by what is wanted of them.", "desired", wanted)
        waiting = len(views.state_list(snapshot).waiting)
        yield GaugeMetricFamily("inaetics_units_waiting", "Units that are wanted and have no machine.", waiting)
        yield GaugeMetricFamily("inaetics_placements", "Units placed on machines.", len(snapshot.placements))
        yield GaugeMetricFamily("inaetics_machines", "Machines that are alive.", len(snapshot.machines))
        cordoned = sum(machine.cordoned for machine in snapshot.machines.values())
        yield GaugeMetricFamily("inaetics_machines_cordoned", "Machines that take no new units.", cordoned)
        yield GaugeMetricFamily("inaetics_revision", "How far this copy of the store is.", snapshot.revision)
        yield GaugeMetricFamily("inaetics_store_silent_seconds", "For how long the store is silent.", pulse.silent_s)
        leads = int(pulse.leader is not None)
        yield GaugeMetricFamily("inaetics_engine_leads", "Whether any engine leads.", leads)
        yield from _disk()
        yield self._told()

    def _told(self) -> Metric:
        """Events by kind since this process began; what was forgotten before anybody asked is not in it."""
        while True:
            events, self._position = self._services.chronicle.after(self._position, Wanted(), _EVENTS_AT_ONCE)
            self._events.update(event.kind.value for event in events)
            if len(events) < _EVENTS_AT_ONCE:
                break
        family = CounterMetricFamily("inaetics_events", "What happened in the fleet.", labels=["kind"])
        for kind, count in sorted(self._events.items()):
            family.add_metric([kind], count)
        return family


def _disk() -> Iterator[Metric]:
    """The disk that holds this host's state, where it has one: its store, images and journals end when it is full."""
    if place := os.environ.get("INAETICS_STATE"):
        found = shutil.disk_usage(place)
        yield GaugeMetricFamily("inaetics_disk_free_bytes", "Free on the disk of this host's state.", found.free)
        yield GaugeMetricFamily("inaetics_disk_bytes", "Size of the disk of this host's state.", found.total)


def _gauge(name: str, what: str, label: str, values: Tally[str]) -> Metric:
    family = GaugeMetricFamily(name, what, labels=[label])
    for value, count in sorted(values.items()):
        family.add_metric([value], count)
    return family
