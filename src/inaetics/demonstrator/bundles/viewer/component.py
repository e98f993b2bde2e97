"""The viewer: asks every agent for its report twice a second, tells open pages, and serves them.

Whatever it shows was collected before: no request waits for an agent. Services that hang hold a thread each and are
shown as late.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
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

from inaetics.demonstrator.api import (
    ACCOUNTING,
    AGENT_STATISTICS,
    CLUSTER_INFO,
    COORDINATOR,
    Accounting,
    AccountingReport,
    AgentReport,
    AgentStatistics,
    Cluster,
    ClusterInfo,
    Coordinator,
    Scaling,
)
from inaetics.demonstrator.calls import Worker
from inaetics.errors import Unavailable
from inaetics.node import api
from inaetics.provisioning.pages import take_over

from .answers import EVENTS, Answer, failure, files_of, json, refusal, send, send_head
from .asking import Asker
from .frames import Board, named
from .history import History
from .streams import Streams

INTERVAL_S = 0.5
ANSWERS_WITHIN_S = 0.15
"""How long a tick waits for answers: what comes in time is shown at once, the rest at the next one."""

CALLS_AT_ONCE = 64
_GET_ONLY = "GET, HEAD"


@ComponentFactory(__name__ + ".viewer")
@Requires("_agents", AGENT_STATISTICS, aggregate=True, optional=True)
@Requires("_accounting", ACCOUNTING, optional=True)
@Requires("_coordinator", COORDINATOR, optional=True)
@Requires("_cluster", CLUSTER_INFO, optional=True)
@Provides([HTTP_SERVLET])
@Property("_path", HTTP_SERVLET_PATH, "/")
@Instantiate(__name__ + ".viewer")
class Viewer:
    """Collects on threads of its own; what pages see is made once for all of them."""

    _agents: list[AgentStatistics] | None
    _accounting: Accounting | None
    _coordinator: Coordinator | None
    _cluster: ClusterInfo | None

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._began_s, self._began_ms = time.monotonic(), time.time() * 1000
        self._board = Board(History(), interval_ms=round(INTERVAL_S * 1000), now_ms=self._now_ms())
        self._services: dict[int, tuple[str, AgentStatistics]] = {}
        self._agent = ""
        self._files: dict[str, Answer] = {}
        self._json: dict[str, Callable[[int], dict[str, Any]]] = {
            "/statistics": self._statistics,
            "/systemStats": self._system_stats,
            "/clusterInfo": self._cluster_info,
            "/utilisation": self._utilisation,
        }

    @Validate
    def validate(self, context: BundleContext) -> None:
        self._agent = str(context.get_property(api.AGENT))
        self._files = files_of(files(__package__) / "static", files("inaetics.look"))
        self._asker = Asker("viewer-report", CALLS_AT_ONCE)
        self._streams = Streams()
        self._streams.start()
        self._worker = Worker("viewer", self._step)
        self._worker.start()

    @Invalidate
    def invalidate(self, _context: BundleContext) -> None:
        self._worker.stop()
        self._streams.stop()
        self._asker.stop()

    @BindField("_agents")
    def bind_agent(self, _field: str, service: AgentStatistics, reference: Any) -> None:
        name = str(reference.get_property(api.REMOTE_AGENT) or self._agent)
        with self._lock:
            self._services[id(service)] = (name, service)

    @UnbindField("_agents")
    def unbind_agent(self, _field: str, service: AgentStatistics, _reference: Any) -> None:
        with self._lock:
            self._services.pop(id(service), None)
        self._asker.forget(id(service))

    def do_GET(self, request: AbstractHTTPServletRequest, response: AbstractHTTPServletResponse) -> None:
        """Serve the page, its files, its events or its JSON; `/statistics/since/MS` gives the points after that."""
        if request.get_path() == "/events":
            self._follow(request, response)
        else:
            send(request, response, self._answer(request.get_path()))

    do_HEAD = do_GET

    def _answer(self, path: str) -> Answer:
        path, _, since = path.partition("/since/")
        if path in self._files and not since:
            return self._files[path]
        if path in self._json:
            return json(self._json[path](int(since) if since.isascii() and since.isdigit() else 0))
        return failure(404, f"there is nothing at {path} (the page is at /)")

    def _follow(self, request: AbstractHTTPServletRequest, response: AbstractHTTPServletResponse) -> None:
        """Answer with events for as long as the page is open."""
        events = Answer(kind=EVENTS, headers={"Cache-Control": "no-store"})
        if request.get_command() == "HEAD":
            send_head(response, events, endless=True)
            return
        try:
            self._streams.reserve()
        except Unavailable as error:
            send(request, response, refusal(error))
            return
        try:
            response.set_response(200)
            send_head(response, events, endless=True)
            connection = take_over(request)
        except BaseException:
            self._streams.release()
            raise
        with self._lock:  # nothing is published between what the hello says and its being sent
            self._streams.add(connection, self._board.hello(now_s=time.monotonic()))

    def _now_ms(self) -> int:
        """Unix milliseconds that never go back, whatever happens to the clock."""
        return round(self._began_ms + (time.monotonic() - self._began_s) * 1000)

    def _step(self) -> float:
        began = time.monotonic()
        self._ask_all()
        self._asker.settle(ANSWERS_WITHIN_S)
        with self._lock:
            now_s, now_ms = time.monotonic(), self._now_ms()
            names = {name for name, _ in self._services.values()}
            for name in names:
                self._board.history.expect(name, now_s=now_s, now_ms=now_ms)
            self._board.history.forget_silent(now_s=now_s, expected=names)
            for frame in self._board.tick(now_s=now_s, now_ms=now_ms):
                self._streams.publish(frame)
        return max(INTERVAL_S - (time.monotonic() - began), 0.05)

    def _ask_all(self) -> None:
        with self._lock:
            services = [(key, service) for key, (_, service) in self._services.items()]
        for key, service in services:
            self._asker.ask(key, partial(self._ask, service))
        self._asker.ask(ACCOUNTING, self._ask_accounting)
        self._asker.ask(COORDINATOR, self._ask_coordinator)
        self._asker.ask(CLUSTER_INFO, self._ask_cluster)

    def _ask(self, service: AgentStatistics) -> None:
        report = msgspec.convert(service.report(), AgentReport)
        with self._lock:
            self._board.history.heard(report, now_s=time.monotonic(), now_ms=self._now_ms())

    def _ask_accounting(self) -> None:
        service = self._accounting
        latest = service.latest() if service is not None else None
        report = msgspec.convert(latest, AccountingReport | None)
        with self._lock:
            self._board.accounting = report

    def _ask_coordinator(self) -> None:
        service = self._coordinator
        scaling = msgspec.convert(service.scaling(), Scaling) if service is not None else None
        with self._lock:
            self._board.scaling = scaling

    def _ask_cluster(self) -> None:
        service = self._cluster
        cluster = msgspec.convert(service.cluster(), Cluster | None) if service is not None else None
        with self._lock:
            self._board.cluster = cluster

    def _statistics(self, since_ms: int) -> dict[str, Any]:
        with self._lock:
            agents = self._board.history.statistics(since_ms=since_ms, now_s=time.monotonic())
        return {"time_ms": self._now_ms(), "agents": agents}

    def _system_stats(self, _since_ms: int) -> dict[str, Any]:
        with self._lock:
            return {"time_ms": self._now_ms(), **self._board.system(now_s=time.monotonic())}

    def _cluster_info(self, _since_ms: int) -> dict[str, Any]:
        with self._lock:
            agents = self._board.history.agents(now_s=time.monotonic())
            cluster = self._board.cluster
        return {"time_ms": self._now_ms(), "agents": agents, "cluster": named(cluster)}

    def _utilisation(self, _since_ms: int) -> dict[str, Any]:
        with self._lock:
            found: dict[str, Any] = named(self._board.utilisation)
        return found
