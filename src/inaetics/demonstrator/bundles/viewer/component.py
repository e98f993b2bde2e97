"""The viewer: asks every agent for its report twice a second, and serves the page and its JSON."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from importlib.resources import files
from typing import Any

import msgspec
from pelix.framework import BundleContext
from pelix.http import HTTP_SERVLET, HTTP_SERVLET_PATH, AbstractHTTPServletRequest, AbstractHTTPServletResponse
from pelix.ipopo.decorators import (
    BindField,
    ComponentFactory,
    Instantiate,
    Invalidate,
    Property,
    Provides,
    Requires,
    UnbindField,
    Validate,
)

from inaetics.demonstrator.api import AGENT_STATISTICS, AgentReport, AgentStatistics
from inaetics.demonstrator.calls import CALL_FAILED, Worker

from .history import History

INTERVAL_S = 0.5
CALLS_AT_ONCE = 16
"""Threads for reports: an agent that hangs holds one of them, the others go on."""

_TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
}

_STATIC = {
    "/": "index.html",
    "/app.js": "app.js",
    "/style.css": "style.css",
    "/icon.svg": "icon.svg",
    "/vendor/uPlot.iife.min.js": "vendor/uPlot.iife.min.js",
    "/vendor/uPlot.min.css": "vendor/uPlot.min.css",
}

Answer = tuple[str, bytes]
"""Content type and body."""


@ComponentFactory(__name__ + ".viewer")
@Requires("_agents", AGENT_STATISTICS, aggregate=True, optional=True)
@Provides([HTTP_SERVLET])
@Property("_path", HTTP_SERVLET_PATH, "/")
@Instantiate(__name__ + ".viewer")
class Viewer:
    """Collects reports on threads of its own; pages are made from what was collected, never by asking an agent."""

    _agents: list[AgentStatistics] | None

    def __init__(self) -> None:
        self._history = History()
        self._lock = threading.Lock()
        self._services: dict[int, AgentStatistics] = {}
        self._pending: dict[int, Future[None]] = {}
        self._files: dict[str, Answer] = {}
        self._json: dict[str, Callable[[int], dict[str, Any]]] = {
            "/statistics": self._statistics,
            "/systemStats": self._system_stats,
            "/clusterInfo": self._cluster_info,
        }

    @Validate
    def validate(self, _context: BundleContext) -> None:
        static = files(__package__) / "static"
        self._files = {
            path: (_TYPES[name.rsplit(".", 1)[-1]], (static / name).read_bytes()) for path, name in _STATIC.items()
        }
        self._pool = ThreadPoolExecutor(CALLS_AT_ONCE, thread_name_prefix="viewer-report")
        self._worker = Worker("viewer", self._step)
        self._worker.start()

    @Invalidate
    def invalidate(self, _context: BundleContext) -> None:
        self._worker.stop()
        self._pool.shutdown(wait=False, cancel_futures=True)

    @BindField("_agents")
    def bind_agent(self, _field: str, service: AgentStatistics, _reference: object) -> None:
        with self._lock:
            self._services[id(service)] = service

    @UnbindField("_agents")
    def unbind_agent(self, _field: str, service: AgentStatistics, _reference: object) -> None:
        with self._lock:
            self._services.pop(id(service), None)
            self._pending.pop(id(service), None)

    def do_GET(self, request: AbstractHTTPServletRequest, response: AbstractHTTPServletResponse) -> None:
        """Serve the page, its files or its JSON; `/statistics/since/MS` gives the points after that time only."""
        path, _, since = request.get_path().partition("/since/")
        kind, body, status = "text/plain; charset=utf-8", b"Not found\n", 404
        if path in self._files:
            (kind, body), status = self._files[path], 200
        elif path in self._json:
            kind, status = "application/json", 200
            body = msgspec.json.encode(self._json[path](int(since) if since.isascii() and since.isdigit() else 0))
        response.set_response(status)
        response.set_header("Content-Type", kind)
        response.set_header("Content-Length", len(body))
        response.set_header("Cache-Control", "no-cache")
        response.set_header("Content-Security-Policy", "default-src 'self'; style-src 'self' 'unsafe-inline'")
        response.set_header("X-Content-Type-Options", "nosniff")
        response.end_headers()
        response.write(body)

    def _step(self) -> float:
        with self._lock:
            idle = {k: s for k, s in self._services.items() if k not in self._pending or self._pending[k].done()}
            for key, service in idle.items():
                self._pending[key] = self._pool.submit(partial(self._ask, service))
            self._history.forget_silent(now_s=time.monotonic())
        return INTERVAL_S

    def _ask(self, service: AgentStatistics) -> None:
        try:
            report = msgspec.convert(service.report(), AgentReport)
        except CALL_FAILED:
            return  # it is shown as late; discovery takes it away when it is gone
        with self._lock:
            self._history.heard(report, now_s=time.monotonic(), now_ms=round(time.time() * 1000))

    def _statistics(self, since_ms: int) -> dict[str, Any]:
        with self._lock:
            agents = self._history.statistics(since_ms=since_ms, now_s=time.monotonic())
        return {"time_ms": round(time.time() * 1000), "agents": agents}

    def _system_stats(self, _since_ms: int) -> dict[str, Any]:
        with self._lock:
            return {"time_ms": round(time.time() * 1000), **self._history.totals(now_s=time.monotonic())}

    def _cluster_info(self, _since_ms: int) -> dict[str, Any]:
        with self._lock:
            return {"time_ms": round(time.time() * 1000), "agents": self._history.agents(now_s=time.monotonic())}
