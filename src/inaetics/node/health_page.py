"""``/health`` (JSON) and ``/metrics`` (Prometheus' text) of an agent, beside its own pages.

A container's health command, or whoever watches the cluster, asks the first: 200 when all is well, 503 when not.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from pelix.http import AbstractHTTPServletRequest, AbstractHTTPServletResponse

from inaetics.node.health import Doctor, Health

PATHS = ["/health", "/metrics"]


class HealthPage:
    """A servlet for `PATHS`."""

    def __init__(self, doctor: Doctor) -> None:
        self._doctor = doctor

    def do_GET(self, request: AbstractHTTPServletRequest, response: AbstractHTTPServletResponse) -> None:
        health = self._doctor.look()
        if request.get_path().rstrip("/") == "/metrics":
            _send(response, 200, metrics(health), "text/plain; version=0.0.4; charset=utf-8")
        else:
            body = msgspec.json.format(msgspec.json.encode(health), indent=2).decode()
            _send(response, 200 if health.healthy else 503, body + "\n", "application/json")


def metrics(health: Health) -> str:
    """A look as Prometheus reads it."""
    leaked = sum(len(names) for names in health.leaked.values())
    rows: list[tuple[str, str, str, Iterable[tuple[str, float]]]] = [
        ("healthy", "gauge", "1 when nothing was refused and nothing hangs", [("", health.healthy)]),
        ("bundles", "gauge", "Bundles that run", [("", len(health.bundles))]),
        (
            "deployments_total",
            "counter",
            "Deployments since the agent started, by what came of them",
            [('{result="installed"}', health.installed), ('{result="failed"}', health.failed)],
        ),
        ("hanging_threads", "gauge", "Threads of bundles that were given up", [("", len(health.hanging))]),
        ("leaked_threads", "gauge", "Threads that stopped bundles left behind", [("", leaked)]),
        ("exported_services", "gauge", "Services that other agents may call", [("", health.exports)]),
        ("imported_services", "gauge", "Services of other agents that are known here", [("", health.imports)]),
        (
            "remote_calls_total",
            "counter",
            "Calls of other agents, by what came of them",
            [('{result="answered"}', health.calls - health.calls_raised), ('{result="raised"}', health.calls_raised)],
        ),
        ("reports_waiting", "gauge", "Reports no provisioning server has taken yet", [("", health.reports_waiting)]),
        ("threads", "gauge", "Threads of the process", [("", health.threads)]),
        ("memory_bytes", "gauge", "Resident memory of the process", [("", health.memory_bytes)]),
        ("cpu_seconds_total", "counter", "Processor time of the process", [("", health.cpu_seconds)]),
    ]
    lines: list[str] = []
    for name, kind, words, samples in rows:
        lines += [f"# HELP inaetics_agent_{name} {words}.", f"# TYPE inaetics_agent_{name} {kind}"]
        lines += [f"inaetics_agent_{name}{labels} {float(value):g}" for labels, value in samples]
    return "\n".join(lines) + "\n"


def _send(response: AbstractHTTPServletResponse, status: int, body: str, kind: str) -> None:
    response.set_header("Cache-Control", "no-store")
    response.send_content(status, body, kind)
