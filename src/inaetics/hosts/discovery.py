"""The discovery etcd's records, as an operator sees them."""

from __future__ import annotations

import asyncio

from inaetics.errors import Conflict, Unavailable
from inaetics.hosts.cluster import command, load
from inaetics.hosts.etcd_member import PREFIX
from inaetics.hosts.formation import FORMATION
from inaetics.hosts.paths import ClusterPaths
from inaetics.store.etcd import Tls, connect


def purge(paths: ClusterPaths) -> int:
    """Delete every registration; returns how many there were.

    Raises `Unavailable` when bootstrap is off, `Conflict` while the cluster's store is half formed: then those that
    have not joined need what is registered.
    """
    cluster = load(paths)
    if not cluster.bootstrap:
        raise Conflict(f"cluster {cluster.name!r} has no bootstrap host, so no discovery: there is nothing to purge")
    joined = {host.name: (paths.host(host.name).etcd / FORMATION).exists() for host in cluster.control_hosts}
    if any(joined.values()) and not all(joined.values()):
        waiting = ", ".join(name for name, there in joined.items() if not there)
        raise Conflict(f"cannot purge discovery: {waiting} has not joined the store yet and needs the registrations")
    tls = Tls(ca=paths.pki / "ca.pem", cert=paths.pki / "operator.pem", key=paths.pki / "operator.key")
    try:
        return asyncio.run(_purge(cluster.discovery, tls))
    except Unavailable as error:
        start = command(paths.name, "up bootstrap")
        raise Unavailable(f"cannot purge discovery: {error} (it is on the bootstrap host: {start})") from error


async def _purge(endpoint: str, tls: Tls) -> int:
    async with connect([endpoint], tls=tls, timeout_s=3.0) as store:
        return await store.delete(PREFIX, prefix=True)
