"""Who may do what in a cluster's store, by the names in certificates, and making it so: the last step of every `up`.

| certificate | may |
|---|---|
| `operator` | everything |
| `api` (control hosts) | read and write the fleet's keys and `/inaetics/` |
| `agent-HOST` | read the fleet's keys, write `machines/ID` and `states/ID/` of its own host |
| `node-HOST` (node agents) | read and write `/inaetics/discovery/`, `…/node-provisioning-service/` and `-log/`; |
| | read `/inaetics/provisioning/` |

Key shapes are chosen for it: an exact key, or a prefix ending in `/`, so that the rights of `w1` never cover `w10`.
"""

from __future__ import annotations

from collections.abc import Mapping

from inaetics.fleet import keys
from inaetics.fleet.model import MachineId
from inaetics.hosts.cluster import Cluster, Role, machine_id
from inaetics.hosts.paths import ClusterPaths
from inaetics.hosts.pki import API, OPERATOR, agent_name, node_name
from inaetics.store.endpoints import Tls
from inaetics.store.rights import ROOT, Right, Rights, ensure_rights

INAETICS = "/inaetics/"
NODE = "node"
"""The role of all node agents: they share their keys."""


def rights_of(machines: Mapping[str, MachineId]) -> Rights:
    """The rights of a cluster with these hosts (name → machine id)."""
    roles = {
        API: (Right(where=keys.PREFIX, write=True), Right(where=INAETICS, write=True)),
        NODE: (
            Right(where=f"{INAETICS}discovery/", write=True),
            Right(where=f"{INAETICS}node-provisioning-service/", write=True),
            Right(where=f"{INAETICS}node-provisioning-log/", write=True),
            Right(where=f"{INAETICS}provisioning/"),
        ),
    }
    users = {OPERATOR: ROOT, API: API}
    for host, machine in machines.items():
        agent = users[agent_name(host)] = agent_name(host)
        users[node_name(host)] = NODE
        roles[agent] = (
            Right(where=keys.PREFIX),
            Right(where=keys.machine(machine), write=True),
            Right(where=keys.states_of(machine), write=True),
        )
    return Rights(roles=roles, users=users)


def is_ours(name: str) -> bool:
    """Whether a user or role is one of a host, so that it goes when the host is removed."""
    return name.startswith((agent_name(""), node_name("")))


async def confine(cluster: Cluster, paths: ClusterPaths) -> int:
    """Give everybody in the cluster's store the rights above and nobody any other; returns how much was changed."""
    workers = [host.name for host in cluster.hosts if host.role is Role.WORKER]
    machines = {name: MachineId(machine_id(paths.host(name))) for name in workers}
    return await ensure_rights(cluster.etcd_endpoints, rights_of(machines), tls=operator(paths), ours=is_ours)


def operator(paths: ClusterPaths) -> Tls:
    """The certificate that may everything; its key is readable by the cluster's owner only."""
    return Tls(ca=paths.pki / "ca.pem", cert=paths.pki / "operator.pem", key=paths.pki / "operator.key")
