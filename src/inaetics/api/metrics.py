"""What this process counts, as it happens; shown by `metrics_v1`. Labels are few: routes, never addresses."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from starlette.routing import BaseRoute, Route

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, with the time it began: nobody asks

_FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_REQUESTS = (0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 30, 60)
"""Held requests take up to a minute: that is what they are for."""

_METHODS = frozenset({"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"})


class Metrics:
    """One process's counters. `on_plan`, `on_store` and `on_request` are told what happened."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self.registry)
        self._plans = Histogram(
            "inaetics_plan_seconds", "Deciding, by the engine that leads here.", buckets=_FAST, registry=self.registry
        )
        self._store = Histogram(
            "inaetics_store_seconds", "Operations of the store.", ["operation"], buckets=_FAST, registry=self.registry
        )
        self._store_errors = Counter(
            "inaetics_store_errors", "Operations that failed.", ["operation", "error"], registry=self.registry
        )
        self._requests = Counter(
            "inaetics_http_requests", "Requests answered.", ["method", "route", "status"], registry=self.registry
        )
        self._durations = Histogram(
            "inaetics_http_seconds", "Until an answer ended.", ["route"], buckets=_REQUESTS, registry=self.registry
        )

    def on_plan(self, seconds: float) -> None:
        self._plans.observe(seconds)

    def on_store(self, operation: str, seconds: float, error: str | None) -> None:
        self._store.labels(operation).observe(seconds)
        if error is not None:
            self._store_errors.labels(operation, error).inc()

    def on_request(self, method: str, route: str, status: int, seconds: float) -> None:
        self._requests.labels(method, route, str(status)).inc()
        self._durations.labels(route).observe(seconds)


class Measured:
    """Counts every request by its route, and how long its answer took."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, routes: list[BaseRoute]) -> None:
        self._app = app
        self._metrics = metrics
        self._paths = {route.endpoint: route.path for route in routes if isinstance(route, Route)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        began, status = time.perf_counter(), 500

        async def send_seen(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_seen)
        finally:
            route = self._paths.get(scope.get("endpoint", self), "none")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.on_request(method, route, status, time.perf_counter() - began)
