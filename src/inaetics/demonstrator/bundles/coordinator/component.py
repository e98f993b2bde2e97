"""The coordinator: what the page shows of the cluster, and what it may ask of it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from pelix.framework import BundleContext
from pelix.ipopo.decorators import ComponentFactory, Instantiate, Invalidate, Provides, Validate

from inaetics.demonstrator.api import CLUSTER_INFO, Cluster
from inaetics.errors import Unavailable

from .fleet_api import FleetApi, context_of
from .watching import Watching


@ComponentFactory(__name__ + ".coordinator")
@Provides([CLUSTER_INFO])
@Instantiate(__name__ + ".coordinator")
class Coordinator:
    """Speaks to a control host's API with the agent's certificate; see `inaetics.api.peers` for what that opens."""

    def __init__(self) -> None:
        self._watching: Watching | None = None

    @Validate
    def validate(self, context: BundleContext) -> None:
        endpoints = str(context.get_property("inaetics.api.endpoints") or "")
        directory = str(context.get_property("inaetics.tls") or "")
        tls = context_of(Path(directory)) if directory else None
        self._watching = Watching(partial(FleetApi, tuple(filter(None, endpoints.split(","))), tls))
        self._watching.start()

    @Invalidate
    def invalidate(self, _context: BundleContext) -> None:
        if self._watching is not None:
            self._watching.stop()

    def cluster(self) -> Cluster | None:
        """As last heard, from memory; None before the first time."""
        return self._watching.cluster() if self._watching is not None else None

    def kill(self, host: str, *, token: str) -> None:
        raise Unavailable("hosts cannot be switched from here yet")

    def start(self, host: str, *, token: str) -> None:
        raise Unavailable("hosts cannot be switched from here yet")
