"""Names that bundles and the node agent share. A bundle needs nothing else of the agent.

Framework properties (``context.get_property(...)``), services and service properties; `inaetics.node` shows their use.
"""

from __future__ import annotations

AGENT = "inaetics.agent"
"""The agent's target id, such as ``felix@1``."""
ADDRESS = "inaetics.address"
"""The address of the agent's host: everything the agent listens on is bound to it."""
HOST = "inaetics.host"
"""The host's name, such as ``worker-1``."""
PAGE_PORT = "inaetics.page.port"
"""The port (an int) of the agent's pages on `ADDRESS`."""
API_ENDPOINTS = "inaetics.api.endpoints"
"""The fleet's API on every control host, separated by commas; empty where the agent was not told."""
TLS = "inaetics.tls"
"""The directory with the agent's certificate (cert.pem, key.pem) and whom to believe; empty where there is none."""
DATA = "inaetics.data"
"""A directory that outlives the agent and its container."""

EXPORTED_INTERFACES = "service.exported.interfaces"
"""Service property: ``"*"`` or the specifications to export to all other agents."""
EXPORTED_CONFIGS = "service.exported.configs"
"""Service property, optional: how to export. There is one way, `REMOTE_CONFIG`, and it is the default."""
REMOTE_CONFIG = "inaetics.msgpack"
"""Our remote services: msgpack over TCP."""
REMOTE_TIMEOUT_S = "inaetics.remote.timeout.s"
"""Service property of an exported service: seconds a caller waits for an answer (default 10)."""
REMOTE_IMPORTED = "service.imported"
"""Set on services that live in another agent; filter ``(!(service.imported=*))`` for local ones."""
REMOTE_AGENT = "inaetics.agent"
"""Service property that every exported service carries for its importers: the target id of the agent it lives in."""

METRICS = "inaetics.node.Metrics"
"""A service for the agent's ``/metrics``: ``metrics()`` returns `inaetics.node.exposition.Family`s, at once."""
