"""Collects the figures of an agent's bundles into one remote service."""

from __future__ import annotations

import re

from pelix.framework import BundleContext
from pelix.ipopo.decorators import (
    ComponentFactory,
    Instantiate,
    Property,
    Provides,
    Requires,
    Validate,
)

from inaetics.demonstrator.api import AGENT_STATISTICS, STATS_PROVIDER, AgentReport, StatsProvider
from inaetics.node import api

_BUNDLE = re.compile(r"(?P<name>[a-z][a-z0-9_]*?)_(?P<version>\d+(_\d+)+)_[0-9a-f]{8}\b")
"""How the loader names a version of a bundle inside the framework (`inaetics.node.loader.package_name`)."""


@ComponentFactory(__name__ + ".statistics")
@Requires("_providers", STATS_PROVIDER, aggregate=True, optional=True)
@Provides([AGENT_STATISTICS])
@Property("_exported", api.EXPORTED_INTERFACES, [AGENT_STATISTICS])
@Instantiate(__name__ + ".statistics")
class Statistics:
    """The agent's `AgentStatistics`."""

    _providers: list[StatsProvider] | None
    _context: BundleContext

    def __init__(self) -> None:
        self._agent = ""
        self._host = ""
        self._address = ""

    @Validate
    def validate(self, context: BundleContext) -> None:
        self._context = context
        self._agent = str(context.get_property(api.AGENT))
        self._host = str(context.get_property(api.HOST))
        self._address = str(context.get_property(api.ADDRESS))

    def report(self) -> AgentReport:
        stats = [stat for provider in self._providers or () for stat in provider.stats()]
        return AgentReport(self._agent, self._host, self._address, self._bundles(), stats)

    def _bundles(self) -> list[str]:
        names = (_BUNDLE.match(bundle.get_symbolic_name()) for bundle in self._context.get_bundles())
        return sorted(f"{name['name']} {name['version'].replace('_', '.')}" for name in names if name)
