"""The coordinator: what the page shows of the cluster, and what it may ask of it.

It speaks to a control host's API with the agent's certificate; see `inaetics.api.peers` for what that opens. A person's
wish carries the cluster's control token, which the API checks: here it is only passed on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from pelix.framework import BundleContext
from pelix.ipopo.decorators import (
    BindField,
    ComponentFactory,
    Instantiate,
    Invalidate,
    Provides,
    Requires,
    UnbindField,
    Validate,
)

from inaetics.demonstrator.api import (
    AGENT_STATISTICS,
    CLUSTER_INFO,
    COORDINATOR,
    SAMPLE_QUEUE,
    AgentStatistics,
    Cluster,
    SampleQueue,
    Scaling,
)
from inaetics.errors import InvalidInput, NotFound, Unavailable
from inaetics.node import api

from .deciding import Deciding
from .fleet_api import FleetApi, context_of
from .scaling import Automatic, ScaledSaid, ScaleSaid, Wish, shown
from .watching import Watching

T = TypeVar("T")

SCALE = "/inaetics/v1/scale"
POWER_S = 60.0
"""Starting a host takes seconds; where the machine is busy, many of them."""


@ComponentFactory(__name__ + ".coordinator")
@Requires("_statistics", AGENT_STATISTICS, aggregate=True, optional=True)
@Requires("_queues", SAMPLE_QUEUE, aggregate=True, optional=True)
@Provides([COORDINATOR, CLUSTER_INFO])
@Instantiate(__name__ + ".coordinator")
class Coordinator:
    """`Coordinator` and `ClusterInfo`: reading is answered from memory, wishes go to a control host at once."""

    _statistics: list[AgentStatistics] | None
    _queues: list[SampleQueue] | None

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_agent: dict[str, AgentStatistics] = {}
        self._with_queue: dict[int, str] = {}
        self._agent = ""
        self._open: Callable[[], FleetApi] = partial(FleetApi, (), None)
        self._watching: Watching | None = None
        self._deciding: Deciding | None = None

    @Validate
    def validate(self, context: BundleContext) -> None:
        self._agent = str(context.get_property(api.AGENT))
        endpoints = str(context.get_property(api.API_ENDPOINTS) or "")
        directory = str(context.get_property(api.TLS) or "")
        tls = context_of(Path(directory)) if directory else None
        self._open = partial(FleetApi, tuple(filter(None, endpoints.split(","))), tls)
        watching = self._watching = Watching(self._open)
        self._deciding = Deciding(
            self._open(),
            queue=self._queue,
            said=lambda: watching.scale,
            scaled=watching.scaled,
            stale=lambda: watching.stale,
        )
        self._watching.start()
        self._deciding.start()

    @Invalidate
    def invalidate(self, _context: BundleContext) -> None:
        if self._deciding is not None:
            self._deciding.stop()
        if self._watching is not None:
            self._watching.stop()

    @BindField("_statistics")
    def bind_statistics(self, _field: str, service: AgentStatistics, reference: Any) -> None:
        with self._lock:
            self._by_agent[self._owner(reference)] = service

    @UnbindField("_statistics")
    def unbind_statistics(self, _field: str, service: AgentStatistics, _reference: Any) -> None:
        with self._lock:
            self._by_agent = {agent: known for agent, known in self._by_agent.items() if known is not service}

    @BindField("_queues")
    def bind_queue(self, _field: str, service: SampleQueue, reference: Any) -> None:
        with self._lock:
            self._with_queue[id(service)] = self._owner(reference)

    @UnbindField("_queues")
    def unbind_queue(self, _field: str, service: SampleQueue, _reference: Any) -> None:
        with self._lock:
            self._with_queue.pop(id(service), None)

    def _owner(self, reference: Any) -> str:
        return str(reference.get_property(api.REMOTE_AGENT) or self._agent)

    def _queue(self) -> AgentStatistics | None:
        """The statistics of the agent that has the queue; of several the first by name."""
        with self._lock:
            known = sorted(agent for agent in self._with_queue.values() if agent in self._by_agent)
            return self._by_agent[known[0]] if known else None

    # Coordinator

    def scaling(self) -> Scaling:
        """What it sees and does, from memory."""
        watching, deciding = self._parts()
        return shown(watching.scale or ScaleSaid(), deciding.explanation, deciding.marks)

    def scale(self, kind: str, count: int, *, token: str) -> Scaling:
        """Have `count` agents of a kind. Raises `InvalidInput`, `Conflict` (beyond the workers), `Forbidden`,
        `Unavailable`."""
        wish = Wish(count=count, reason="asked for on the page")
        path = f"{SCALE}/sets/{quote(kind, safe='')}"
        made = self._as_person(lambda api: api.send("PUT", path, wish, ScaledSaid, token=token))
        return self._now(made.report)

    def set_automatic(self, on: bool, *, token: str) -> Scaling:
        """Switch the autoscaler on or off. Raises as `scale`."""
        path = f"{SCALE}/automatic"
        return self._now(self._as_person(lambda api: api.send("PUT", path, Automatic(on=on), ScaleSaid, token=token)))

    def permit(self, token: str) -> None:
        """Return when `token` is the cluster's; raises `Forbidden`, `Unavailable`."""
        self._as_person(lambda api: api.send("POST", "/inaetics/v1/token", {}, dict[str, Any], token=token))

    # ClusterInfo

    def cluster(self) -> Cluster | None:
        """As last heard, from memory; None before the first time."""
        return self._watching.cluster() if self._watching is not None else None

    def kill(self, host: str, *, token: str) -> None:
        """Kill everything on a host of a cluster that runs locally."""
        self._power(host, "kill", token)

    def start(self, host: str, *, token: str) -> None:
        """Switch a killed host on again."""
        self._power(host, "start", token)

    def _power(self, host: str, action: str, token: str) -> None:
        path = f"/inaetics/v1/hosts/{quote(host, safe='')}/{action}"
        self._as_person(lambda api: api.send("POST", path, {}, dict[str, Any], token=token, within_s=POWER_S))

    def _as_person(self, ask: Callable[[FleetApi], T]) -> T:
        """Over a connection of its own: what a person wants waits for nothing."""
        api = self._open()
        try:
            return ask(api)
        except NotFound as error:
            raise InvalidInput(str(error)) from error
        finally:
            api.close()

    def _now(self, said: ScaleSaid) -> Scaling:
        watching, _ = self._parts()
        watching.scaled(said)
        return self.scaling()

    def _parts(self) -> tuple[Watching, Deciding]:
        if self._watching is None or self._deciding is None:
            raise Unavailable("the coordinator is being started")
        return self._watching, self._deciding
