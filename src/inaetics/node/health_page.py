"""``/health`` (JSON) and ``/metrics`` (Prometheus' text, its bundles' too) of an agent, beside its own pages.

A container's health command, or whoever watches the cluster, asks the first: 200 when all is well, 503 when not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import structlog
from pelix.framework import BundleContext
from pelix.http import AbstractHTTPServletRequest, AbstractHTTPServletResponse
from pelix.internals.registry import ServiceReference

from inaetics.node import api
from inaetics.node.exposition import KIND, Family, one, text
from inaetics.node.health import Doctor, Health

log = structlog.get_logger()

PATHS = ["/health", "/metrics"]
_PREFIX = "inaetics_agent_"


class HealthPage:
    """A servlet for `PATHS`."""

    def __init__(self, doctor: Doctor, bundles: Callable[[], Iterable[Family]] = tuple) -> None:
        """`bundles` gives what bundles add to the metrics."""
        self._doctor = doctor
        self._bundles = bundles

    def do_GET(self, request: AbstractHTTPServletRequest, response: AbstractHTTPServletResponse) -> None:
        health = self._doctor.look()
        if request.get_path().rstrip("/") == "/metrics":
            _send(response, 200, text([*metrics(health), *self._bundles()]), KIND)
        else:
            body = msgspec.json.format(msgspec.json.encode(health), indent=2).decode()
            _send(response, 200 if health.healthy else 503, body + "\n", "application/json")


def metrics(health: Health) -> list[Family]:
    """A look for Prometheus."""
    leaked = sum(len(names) for names in health.leaked.values())
    return [
        _one("healthy", "gauge", "1 when there is no reason to call it unhealthy", health.healthy),
        _one("bundles", "gauge", "Bundles that run", len(health.bundles)),
        Family(
            f"{_PREFIX}deployments_total",
            "counter",
            "Deployments since the agent started, by what came of them",
            [({"result": "installed"}, health.installed), ({"result": "failed"}, health.failed)],
        ),
        _one("hanging_threads", "gauge", "Threads of bundles that were given up", len(health.hanging)),
        _one("leaked_threads", "gauge", "Threads that stopped bundles left behind", leaked),
        _one("exported_services", "gauge", "Services that other agents may call", health.exports),
        _one("unannounced_services", "gauge", "Of these, those that etcd has not had for a while", health.unannounced),
        _one("imported_services", "gauge", "Services of other agents that are known here", health.imports),
        Family(
            f"{_PREFIX}remote_calls_total",
            "counter",
            "Calls of other agents, by what came of them",
            [({"result": "answered"}, health.calls - health.calls_raised), ({"result": "raised"}, health.calls_raised)],
        ),
        _one("reports_waiting", "gauge", "Reports no provisioning server has taken yet", health.reports_waiting),
        _one("threads", "gauge", "Threads of the process", health.threads),
        _one("memory_bytes", "gauge", "Resident memory of the process", health.memory_bytes),
        _one("cpu_seconds_total", "counter", "Processor time of the process", health.cpu_seconds),
    ]


def _one(name: str, kind: str, words: str, value: float) -> Family:
    return one(_PREFIX + name, kind, words, value)


def of_bundles(context: BundleContext) -> list[Family]:
    """What the services called `api.METRICS` tell; one that fails is left out, and named in the journal."""
    found: list[Family] = []
    references: Iterable[ServiceReference[Any]] = context.get_all_service_references(api.METRICS) or ()
    for reference in references:
        try:
            found += context.get_service(reference).metrics()
        except Exception as error:  # noqa: BLE001 - a bundle's mistake must not hide how its agent is
            log.warning("metrics of a bundle left out", bundle=str(reference.get_bundle()), error=repr(error))
        finally:
            context.unget_service(reference)
    return found


def _send(response: AbstractHTTPServletResponse, status: int, body: str, kind: str) -> None:
    response.set_header("Cache-Control", "no-store")
    response.send_content(status, body, kind)
