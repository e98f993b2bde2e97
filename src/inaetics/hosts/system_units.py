"""Which units of its own a host runs. Apart from what writes them (`host_files`): looking at hosts needs only names."""

from __future__ import annotations

from inaetics.hosts.cluster import Host, Role

AGENT, API, ETCD, JOIN = "fleet-agent.service", "fleet-api.service", "etcd.service", "etcd-join.service"
DISCOVERY, REGISTRY, GATE = "discovery.service", "registry.service", "registry-gate.service"


def system_units(host: Host) -> tuple[str, ...]:
    """Which of the package's unit files `host` runs."""
    if host.role is Role.BOOTSTRAP:
        return (DISCOVERY, REGISTRY, GATE)
    return (JOIN, ETCD, API, AGENT, REGISTRY, GATE) if host.control else (AGENT,)
