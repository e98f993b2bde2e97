"""etcd's and the registry's configuration as values. Both read YAML, of which JSON is a part."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inaetics.ports import ETCD_PORT, PEER_PORT

HEARTBEAT_MS = 200
"""Between the leader and its followers. etcd's own 100 ms costs an idle cluster twice the CPU; loopback and local
networks need no more."""

ELECTION_MS = 1000
"""Without a leader for this long, and up to twice as long, members elect another. Not longer: what a machine loses
with the leader is bounded by it (a lease is extended by the new one). Five heartbeats, the least etcd accepts."""

ALONE_HEARTBEAT_MS, ALONE_ELECTION_MS = 100, 500
"""A member without others elects itself within this; its ticks cost 0.1 CPU s a minute more than at 200 ms."""

PINGS_NS = 1_000_000_000
"""Clients may ask a connection whether it lives once a second; etcd's own 5 s would let them hang for longer."""

QUOTA_BYTES = 512 * 1024 * 1024
SNAPSHOT_COUNT = 10_000
"""Entries kept in memory between snapshots; etcd's 100 000 cost memory that a small cluster has no use for."""


def etcd_config(
    *,
    name: str,
    address: str,
    data: Path,
    pki: Path,
    members: Mapping[str, str],
    clients: str = "etcd-clients.pem",
    peers: bool = False,
    joining: bool = False,
) -> str:
    """The configuration of a member `name` of the etcd cluster `members` (name → peer URL), mutual TLS throughout.

    Clients may come from the authorities in the file `clients`; peers, with `peers`, only from their own authority. A
    member that is `joining` comes to others that have formed already.
    """
    here = {"cert-file": str(pki / "etcd.pem"), "key-file": str(pki / "etcd.key"), "client-cert-auth": True}
    among_peers = {**here, "trusted-ca-file": str(pki / "ca.pem")}
    if peers:
        among_peers |= {"cert-file": str(pki / "etcd-peer.pem"), "key-file": str(pki / "etcd-peer.key")}
        among_peers |= {"trusted-ca-file": str(pki / "peers-ca.pem")}
    client, peer = f"https://{address}:{ETCD_PORT}", f"https://{address}:{PEER_PORT}"
    alone = len(members) == 1
    settings: dict[str, Any] = {
        "name": name,
        "data-dir": str(data),
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": ",".join(f"{member}={url}" for member, url in sorted(members.items())),
        "initial-cluster-state": "existing" if joining else "new",
        "client-transport-security": {**here, "trusted-ca-file": str(pki / clients)},
        "peer-transport-security": among_peers,
        # It knows nobody by name, so it would be a way around the roles; we speak gRPC.
        "enable-grpc-gateway": False,
        "heartbeat-interval": ALONE_HEARTBEAT_MS if alone else HEARTBEAT_MS,
        "election-timeout": ALONE_ELECTION_MS if alone else ELECTION_MS,
        "pre-vote": True,
        "grpc-keepalive-min-time": PINGS_NS,
        "auto-compaction-mode": "periodic",
        "auto-compaction-retention": "10m",
        "quota-backend-bytes": QUOTA_BYTES,
        "snapshot-count": SNAPSHOT_COUNT,
        "logger": "zap",
        "log-level": "warn",
        "log-outputs": ["stderr"],
    }
    return json.dumps(settings, indent=2) + "\n"


def registry_config(*, socket: Path, data: Path, secret: str) -> str:
    """The configuration of the image registry: behind its gate, on a socket that its host's owner alone can reach.

    It keeps nothing in memory of what is on its disk: what is removed there while it runs is gone for it too.
    """
    settings = {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(data)},
            "delete": {"enabled": True},
            "maintenance": {"uploadpurging": {"enabled": True, "age": "24h", "interval": "24h", "dryrun": False}},
        },
        "http": {"net": "unix", "addr": str(socket), "secret": secret},
    }
    return json.dumps(settings, indent=2) + "\n"
