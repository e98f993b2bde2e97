"""The state of a cluster as one value that scripts rely on. Shaping is pure; `status` does the asking."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from inaetics.api.wire import UnitEntry
from inaetics.errors import InaeticsError, Unavailable
from inaetics.hosts import disk, listing
from inaetics.hosts.cluster import Cluster, load
from inaetics.hosts.observe import HostState, Observation, observe
from inaetics.hosts.paths import ClusterPaths
from inaetics.hosts.renewal import warning
from inaetics.ports import PAGE_PORT, PAGE_UNIT, PROVISIONING_UNIT
from inaetics.units.names import parse_name


def status(paths: ClusterPaths) -> dict[str, Any]:
    """Ask hosts and fleet; works with any part of them down. Raises `NotFound` when there is no such cluster."""
    cluster = load(paths)
    seen = asyncio.run(observe(paths, cluster.hosts))
    units: tuple[UnitEntry, ...] = ()
    socket: Path | None = None
    message: str | None = None
    try:
        found, socket = listing.units(cluster.name)
        units = found.units
    except Unavailable as error:
        message = f"units are unknown: {error}" if _any_on(seen.values()) else "the cluster is halted"
    except InaeticsError as error:
        message = f"units are unknown: {error}"
    ending = warning(paths, cluster)
    full = "; ".join(disk.warnings((host.name, paths.host(host.name).state) for host in cluster.hosts))
    told = {"certificates": ending, "disk": full}
    return shape(cluster, seen, units, socket, message) | {name: words for name, words in told.items() if words}


def shape(
    cluster: Cluster,
    seen: Mapping[str, Observation],
    units: Iterable[UnitEntry],
    socket: Path | None,
    message: str | None = None,
) -> dict[str, Any]:
    """The documented object: `cluster`, `hosts`, `units`, `web`, `provisioning`, `socket`.

    Templates are left out: they never run. `message` is there only when something is unknown, a host's `trouble` only
    when it has some, a unit's `reason` only when it waits.
    """
    units = [unit for unit in units if not parse_name(unit.name).is_template]
    found: dict[str, Any] = {
        "cluster": cluster.name,
        "hosts": [_host(seen[host.name]) for host in cluster.hosts],
        "units": [_unit(unit) for unit in units],
        "web": page(units, PAGE_UNIT),
        "provisioning": page(units, PROVISIONING_UNIT),
        "socket": str(socket) if socket else None,
    }
    return found | ({"message": message} if message else {})


def page(units: Iterable[UnitEntry], name: str) -> str | None:
    """The address of the page that the unit serves, or None while it does not run."""
    for unit in units:
        if unit.name == name and unit.machine is not None and unit.active == "active":
            return f"http://{unit.machine.address}:{PAGE_PORT}"
    return None


def _host(seen: Observation) -> dict[str, Any]:
    host = seen.host
    found = {"name": host.name, "role": host.role.value, "address": host.address, "state": seen.state.value}
    return found | ({"trouble": seen.trouble} if seen.trouble else {})


def _unit(unit: UnitEntry) -> dict[str, Any]:
    found = {
        "name": unit.name,
        "machine": unit.machine.name if unit.machine else None,
        "active": unit.active or "inactive",
        "sub": unit.sub or "dead",
    }
    return found | ({"reason": unit.reason} if unit.reason else {})


def _any_on(seen: Iterable[Observation]) -> bool:
    return any(each.state is not HostState.HALTED for each in seen)
