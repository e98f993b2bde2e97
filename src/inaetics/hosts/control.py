"""What people and the API have in common to control a cluster: the token, and which hosts there ought to be.

Promises: the token is a file of the owner's only, `<cluster>/pki/token`; the store has its SHA-256, where the API alone
reads it. A renewed token is in force once `renew_token` returns, and the one before is not any more.
"""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path

import msgspec

from inaetics.api.hosts_wire import INVENTORY, Inventory, InventoryHost
from inaetics.api.token_record import KEY as TOKEN
from inaetics.api.token_record import digest
from inaetics.errors import NotFound
from inaetics.files import replace_file
from inaetics.hosts.cluster import Cluster, Role, command, load
from inaetics.hosts.lock import locked
from inaetics.hosts.paths import ClusterPaths
from inaetics.hosts.rights import operator
from inaetics.store.etcd import connect

TOKEN_BYTES = 32


def token_file(paths: ClusterPaths) -> Path:
    """Where the owner's copy is."""
    return paths.pki / "token"


def ensure_token(paths: ClusterPaths) -> None:
    """Make the token where there is none. Idempotent."""
    if not token_file(paths).exists():
        replace_file(token_file(paths), _new_token())


def read_token(paths: ClusterPaths) -> str:
    """The token; raises `NotFound` where there is none."""
    try:
        return token_file(paths).read_text().strip()
    except FileNotFoundError:
        raise NotFound(f"{token_file(paths)} is missing (make it: {command(paths.name, 'up')})") from None


def renew_token(paths: ClusterPaths) -> str:
    """Replace the token in a cluster whose store answers, and return the new one. Raises `Unavailable`."""
    cluster = load(paths)
    with locked(paths, "token --renew"):
        new = _new_token()
        asyncio.run(_write(cluster, paths, {TOKEN: digest(new.strip())}))  # a crash here: `up` brings back the old one
        replace_file(token_file(paths), new)
    return new.strip()


async def publish(cluster: Cluster, paths: ClusterPaths) -> int:
    """Have the store know the token's hash and the hosts; returns how much was written. Idempotent."""
    workers = (host for host in cluster.hosts if host.role is Role.WORKER)
    hosts = tuple(InventoryHost(name=host.name, address=host.address, control=host.control) for host in workers)
    wanted = {TOKEN: digest(read_token(paths)), INVENTORY: msgspec.json.encode(Inventory(hosts=hosts))}
    return await _write(cluster, paths, wanted)


async def _write(cluster: Cluster, paths: ClusterPaths, wanted: dict[str, bytes]) -> int:
    written = 0
    async with connect(cluster.etcd_endpoints, tls=operator(paths)) as store:
        for key, value in wanted.items():
            present = await store.get(key)
            if present is None or present.value != value:
                await store.put(key, value)
                written += 1
    return written


def _new_token() -> str:
    return f"{secrets.token_urlsafe(TOKEN_BYTES)}\n"
