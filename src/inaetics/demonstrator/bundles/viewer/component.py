"""The viewer: the demonstrator's page, its events, its JSON, its metrics and its controls, on the agent's page port.

`watch` knows what there is to show, `streams` has the open pages, `controls` does what people ask for; here is what
Pelix sees of them.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Any

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
    PIPELINE_CONTROL,
    Accounting,
    AgentStatistics,
    ClusterInfo,
    Coordinator,
    PipelineControl,
)
from inaetics.errors import Unavailable
from inaetics.node import api
from inaetics.node.exposition import KIND, Family, text
from inaetics.provisioning.pages import take_over

from .answers import EVENTS, Answer, failure, files_of, json, refusal, send, send_head
from .asking import Asker
from .controls import Controls
from .knobs import Knobs
from .metrics import families
from .streams import Streams
from .watch import Services, Watch

ORDERS_AT_ONCE = 16


@ComponentFactory(__name__ + ".viewer")
@Requires("_agents", AGENT_STATISTICS, aggregate=True, optional=True)
@Requires("_controlled", PIPELINE_CONTROL, aggregate=True, optional=True)
@Requires("_accounting", ACCOUNTING, optional=True)
@Requires("_coordinator", COORDINATOR, optional=True)
@Requires("_cluster_info", CLUSTER_INFO, optional=True)
@Provides([HTTP_SERVLET, api.METRICS])
@Property("_path", HTTP_SERVLET_PATH, "/")
@Instantiate(__name__ + ".viewer")
class Viewer:
    """Works with whatever of its services is here, and says of the others that they are not."""

    _agents: list[AgentStatistics] | None
    _controlled: list[PipelineControl] | None
    _accounting: Accounting | None
    _coordinator: Coordinator | None
    _cluster_info: ClusterInfo | None

    def __init__(self) -> None:
        self._files: dict[str, Answer] = {}
        self._streams = Streams()
        self._knobs = Knobs()
        self._watch = Watch(self._services, self._knobs, self._streams.publish)
        self._asker = Asker("viewer-orders", ORDERS_AT_ONCE)
        self._controls = Controls(self._watch, self._services, self._asker, self._knobs)
        self._json: dict[str, Callable[[], dict[str, Any]]] = {
            "/statistics": self._watch.statistics,
            "/systemStats": self._watch.system,
            "/clusterInfo": self._watch.cluster_info,
            "/utilisation": self._watch.utilisation,
        }

    @Validate
    def validate(self, _context: BundleContext) -> None:
        self._files = files_of(files(__package__) / "static", files("inaetics.look"))
        self._streams.start()
        self._watch.start()

    @Invalidate
    def invalidate(self, _context: BundleContext) -> None:
        self._watch.stop()
        self._streams.stop()
        self._asker.stop()
        self._knobs.stop()

    @BindField("_agents")
    def bind_agent(self, _field: str, service: AgentStatistics, reference: Any) -> None:
        self._watch.came(self._name(reference), service)

    @UnbindField("_agents")
    def unbind_agent(self, _field: str, service: AgentStatistics, _reference: Any) -> None:
        self._watch.went(service)

    @BindField("_controlled")
    def bind_controlled(self, _field: str, service: PipelineControl, reference: Any) -> None:
        self._knobs.bind(self._name(reference), service)

    @UnbindField("_controlled")
    def unbind_controlled(self, _field: str, service: PipelineControl, _reference: Any) -> None:
        self._knobs.unbind(service)

    def metrics(self) -> list[Family]:
        """What Prometheus is told; see `inaetics.node.api.METRICS`."""
        return families(self._watch, self._streams)

    def do_GET(self, request: AbstractHTTPServletRequest, response: AbstractHTTPServletResponse) -> None:
        """Serve the page, its files, its events or its JSON; `/statistics/since/MS` gives the points after that."""
        if request.get_path() == "/events":
            self._follow(request, response)
        else:
            send(request, response, self._answer(request.get_path()))

    def do_HEAD(self, request: AbstractHTTPServletRequest, response: AbstractHTTPServletResponse) -> None:
        self.do_GET(request, response)

    def do_POST(self, request: AbstractHTTPServletRequest, response: AbstractHTTPServletResponse) -> None:
        if request.get_path() in self._controls.paths:
            send(request, response, self._controls.answer(request))
        else:
            self._refuse(request, response)

    def _refuse(self, request: AbstractHTTPServletRequest, response: AbstractHTTPServletResponse) -> None:
        """Say what can be done at a path, or that there is nothing."""
        path = request.get_path()
        readable = path == "/events" or self._answer(path).status == 200
        allowed = ["GET", "HEAD"] * readable + ["POST"] * (path in self._controls.paths)
        if allowed:
            words = f"cannot {request.get_command()} {path} (it takes {', '.join(allowed)})"
            send(request, response, failure(405, words, Allow=", ".join(allowed)))
        else:
            send(request, response, _nothing(path))

    do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _refuse

    def _answer(self, path: str) -> Answer:
        since = path.removeprefix("/statistics/since/")
        if path in self._files:
            return self._files[path]
        if path in self._json:
            return json(self._json[path]())
        if path == "/metrics":
            return Answer(kind=KIND, body=text(self.metrics()).encode(), headers={"Cache-Control": "no-store"})
        if since != path and since.isascii() and since.isdigit():
            return json(self._watch.statistics(int(since)))
        if path in self._controls.paths:
            return failure(405, f"cannot GET {path} (it takes POST)", Allow="POST")
        return _nothing(path)

    def _follow(self, request: AbstractHTTPServletRequest, response: AbstractHTTPServletResponse) -> None:
        """Answer with events for as long as the page is open."""
        events = Answer(kind=EVENTS, headers={"Cache-Control": "no-store"})
        if request.get_command() == "HEAD":
            response.set_response(200)
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
        self._watch.join(lambda hello: self._streams.add(connection, hello))

    def _services(self) -> Services:
        return Services(self._accounting, self._coordinator, self._cluster_info)

    def _name(self, reference: Any) -> str:
        """Of the agent whose service this is; who was there before this bundle is bound before it is validated."""
        here = reference.get_bundle().get_bundle_context().get_property(api.AGENT)
        return str(reference.get_property(api.REMOTE_AGENT) or here)


def _nothing(path: str) -> Answer:
    return failure(404, f"there is nothing at {path} (the page is at /)")
