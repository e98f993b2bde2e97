"""The cluster's own certificates: its authorities, and for every host a certificate for each thing it does.

Promises: keys are P-256, readable by their owner only, and never leave the cluster's directory; running it again
changes nothing but what is missing, about to expire, or made for other names.

Four authorities, so that a certificate opens nothing it is not for, whatever name it bears:

- `ca` signs the cluster's own parts and the operator's: trusted by etcd, the API, agents and the registry;
- `nodes-ca` signs what node agents carry in containers: trusted by etcd and other node agents, to pull images, and by
  the API for the few things that `inaetics.api.peers` names;
- `readers-ca` signs certificates for people who may only look: trusted by the API;
- `peers-ca` signs etcd's members towards each other: a peer may write what it likes, past every role.
"""

from __future__ import annotations

import datetime
import os
import re
from dataclasses import dataclass
from pathlib import Path

from inaetics.errors import Conflict, InvalidInput
from inaetics.files import replace_file
from inaetics.hosts.certificates import (
    Authority,
    describes,
    is_old,
    new_certificate,
    new_key,
    pem_of_certificate,
    pem_of_key,
    read_authority,
    read_certificate,
)
from inaetics.hosts.cluster import Cluster, Host, Role
from inaetics.hosts.paths import ClusterPaths, HostPaths

AUTHORITY_DAYS = 3650.0
LEAF_DAYS = 825.0
"""Other numbers of days, which may be fractions, come from INAETICS_AUTHORITY_DAYS and INAETICS_CERTIFICATE_DAYS."""

MOST_DAYS = 36500

RENEW_BEFORE_DAYS = 60
"""`up` renews what ends sooner, and what has less than a third of a shorter life left."""

CA, NODES, READERS, PEERS = "ca", "nodes-ca", "readers-ca", "peers-ca"

OPERATOR, API = "operator", "api"
"""Common names that other parts know: whoever bears one of them may change things (see `inaetics.hosts.rights`)."""

SIGNER = "signer"
"""Its certificate signs bundles; node agents run none that it, or an elder of the same authority, did not sign."""

PEER_CERTIFICATE = "etcd-peer.pem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A certificate a host needs: files below its `pki/`, the common name, who signs it, and what it is for."""

    certificate: str
    key: str
    common_name: str
    authority: str = CA
    server: bool = True
    signs_code: bool = False


def wanted(host: Host) -> tuple[Wanted, ...]:
    """The certificates of one host. Every host has `agent`, which is also what its shell uses."""
    name = host.name
    found = [
        Wanted(certificate="agent.pem", key="agent.key", common_name=agent_name(name)),
        Wanted(
            certificate="registry-client/client.cert",
            key="registry-client/client.key",
            common_name=registry_client_name(name),
            server=False,
        ),
    ]
    if host.control or host.role is Role.BOOTSTRAP:
        found.append(Wanted(certificate="etcd.pem", key="etcd.key", common_name=f"etcd-{name}"))
    if host.control:
        found.append(Wanted(certificate="api.pem", key="api.key", common_name=API))
        found.append(
            Wanted(certificate=PEER_CERTIFICATE, key="etcd-peer.key", common_name=f"etcd-{name}", authority=PEERS)
        )
    if host.registry:
        found.append(Wanted(certificate="registry.pem", key="registry.key", common_name=f"registry-{name}"))
    if host.role is Role.WORKER:
        found.append(
            Wanted(
                certificate="node/cert.pem",
                key="node/key.pem",
                common_name=node_name(name),
                authority=NODES,
            )
        )
    return tuple(found)


def pushers(cluster: Cluster) -> tuple[str, ...]:
    """Who may push to the cluster's registries; everybody else of `ca` and `nodes-ca` may pull.

    The replicators are not among them: each writes to its own host's registry, behind the gate.
    """
    return (OPERATOR, registry_client_name(cluster.builder.name))


def registry_client_name(host: str) -> str:
    """The common name with which a host's container engine pulls."""
    return f"registry-client-{host}"


def agent_name(host: str) -> str:
    """The common name of a host's agent; its user in etcd has the same."""
    return f"agent-{host}"


def node_name(host: str) -> str:
    """The common name of a host's node agents."""
    return f"node-{host}"


def ensure_authorities(
    paths: ClusterPaths, cluster: str, *, running: bool = False, anew: bool = False
) -> dict[str, Authority]:
    """Load the cluster's authorities, making what is missing, and people's certificates with them, `anew` if asked.

    While the store is `running` no authority for its members is made where there is none, and none is replaced because
    it ends: members trust what they were started with (`inaetics.hosts.renewal` replaces them then).
    """
    names = [CA, NODES, READERS]
    if not running or (paths.pki / f"{PEERS}.key").exists():
        names.append(PEERS)
    authorities = {name: _ensure_authority(paths.pki, name, cluster, keep=running) for name in names}
    for person in people(paths):
        _ensure_leaf(paths.pki, person, authorities, address=None, anew=anew)
    return authorities


def people(paths: ClusterPaths) -> tuple[Wanted, ...]:
    """The certificates that belong to no host: the operator's, the signer's, and those of who may only read."""
    operator = Wanted(certificate="operator.pem", key="operator.key", common_name=OPERATOR, server=False)
    signer = Wanted(certificate=f"{SIGNER}.pem", key=f"{SIGNER}.key", common_name=SIGNER, server=False, signs_code=True)
    return (operator, signer, *map(_reader, readers(paths)))


def introduce_authorities(paths: ClusterPaths, cluster: str) -> None:
    """Make every authority a successor, which is trusted from now on beside it but does not sign yet. Idempotent."""
    for name in (CA, NODES, READERS, PEERS):
        file, successor = paths.pki / f"{name}.pem", paths.pki / f"{name}.next.key"
        if file.exists() and not successor.exists():
            key = new_key()
            certificate = new_certificate(_authority_name(cluster, name), key, days=_authority_days())
            replace_file(file, file.read_text() + pem_of_certificate(certificate))
            replace_file(successor, pem_of_key(key))


def enthrone_authorities(paths: ClusterPaths) -> None:
    """Let the successors sign; whom they succeed is still trusted. Idempotent."""
    for name in (CA, NODES, READERS, PEERS):
        successor = paths.pki / f"{name}.next.key"
        if successor.exists():
            successor.replace(paths.pki / f"{name}.key")


def dismiss_authorities(paths: ClusterPaths) -> None:
    """Trust nobody any more but who signs. Idempotent."""
    for name in (CA, NODES, READERS, PEERS):
        file, key_file = paths.pki / f"{name}.pem", paths.pki / f"{name}.key"
        if file.exists():
            signing = read_authority(file.read_text(), key_file.read_bytes()).certificate
            _ensure_text(file, pem_of_certificate(signing))


def readers(paths: ClusterPaths) -> list[str]:
    """The names under which read-only certificates were issued."""
    return sorted(file.stem for file in (paths.pki / "readers").glob("*.pem"))


def issue_reader(paths: ClusterPaths, cluster: str, name: str) -> tuple[Path, Path]:
    """Make a certificate that the API lets read and nothing else; returns its file and its key's. Idempotent."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,40}", name):
        raise InvalidInput(f"cannot issue a certificate for {name!r}: give letters, digits, dots and dashes")
    want = _reader(name)
    _ensure_leaf(paths.pki, want, ensure_authorities(paths, cluster, running=True), address=None)
    return paths.pki / want.certificate, paths.pki / want.key


def _reader(name: str) -> Wanted:
    file = f"readers/{name}"
    return Wanted(
        certificate=f"{file}.pem", key=f"{file}.key", common_name=f"reader-{name}", authority=READERS, server=False
    )


def ensure_host(paths: HostPaths, host: Host, authorities: dict[str, Authority], *, anew: bool = False) -> list[str]:
    """Make what certificates `host` lacks, or all of them `anew`; returns the files that were written."""
    written = [name for name, text in _bundles(host, authorities).items() if _ensure_text(paths.pki / name, text)]
    known = (each for each in wanted(host) if each.authority in authorities)
    made = (each for each in known if _ensure_leaf(paths.pki, each, authorities, address=host.address, anew=anew))
    return written + [each.certificate for each in made]


def _bundles(host: Host, authorities: dict[str, Authority]) -> dict[str, str]:
    """Whom each part of the host trusts, by file."""
    pems = {name: authority.pem for name, authority in authorities.items()}
    ca, nodes = pems[CA], pems[NODES]
    found = {"ca.pem": ca, "etcd-clients.pem": ca + nodes, "registry-client/ca.crt": ca}
    if host.role is Role.WORKER:
        found["node/ca.pem"] = ca + nodes
        found["node/signers.pem"] = ca
    if host.registry:
        found["registry-clients.pem"] = ca + nodes
    if host.control:
        found["api-clients.pem"] = ca + pems[READERS] + nodes
        found["nodes-ca.pem"] = nodes
        if PEERS in pems:
            found["peers-ca.pem"] = pems[PEERS]
    return found


def expires(certificate: Path) -> datetime.datetime:
    """When a certificate on disk ends, in UTC."""
    return read_certificate(certificate.read_bytes()).not_valid_after_utc


def _ensure_text(path: Path, text: str) -> bool:
    if path.exists() and path.read_text() == text:
        return False
    replace_file(path, text)
    return True


def _authority_name(cluster: str, name: str) -> str:
    return f"inaetics {cluster} {name}"


def _ensure_authority(directory: Path, name: str, cluster: str, *, keep: bool) -> Authority:
    """One that ends soon is made anew, with all it signed, unless it is to `keep`: others trust it at this moment."""
    certificate_file, key_file = directory / f"{name}.pem", directory / f"{name}.key"
    if certificate_file.exists() and key_file.exists():
        try:
            found = read_authority(certificate_file.read_text(), key_file.read_bytes())
            if keep or not is_old(found.certificate, days=RENEW_BEFORE_DAYS):
                return found
        except (ValueError, TypeError) as error:
            raise Conflict(
                f"cannot read the cluster's authority {certificate_file}: {error}"
                " (put both files back as they were, or make the cluster anew: inaetics destroy)"
            ) from error
    key = new_key()
    certificate = new_certificate(_authority_name(cluster, name), key, days=_authority_days())
    replace_file(key_file, pem_of_key(key))
    replace_file(certificate_file, pem := pem_of_certificate(certificate))
    return Authority(certificate=certificate, key=key, pem=pem)


def _ensure_leaf(
    directory: Path,
    want: Wanted,
    authorities: dict[str, Authority],
    *,
    address: str | None,
    anew: bool = False,
) -> bool:
    issuer = authorities[want.authority]
    certificate_file, key_file = directory / want.certificate, directory / want.key
    served = address if want.server else None
    if certificate_file.exists() and key_file.exists() and not anew:
        pems = certificate_file.read_bytes(), key_file.read_bytes()
        if describes(*pems, want.common_name, issuer=issuer, address=served, days=RENEW_BEFORE_DAYS):
            return False
    key = new_key()
    certificate = new_certificate(
        want.common_name, key, days=_leaf_days(), issuer=issuer, address=served, signs_code=want.signs_code
    )
    replace_file(key_file, pem_of_key(key))
    replace_file(certificate_file, pem_of_certificate(certificate))
    return True


def _leaf_days() -> float:
    return _days("INAETICS_CERTIFICATE_DAYS", LEAF_DAYS)


def _authority_days() -> float:
    return _days("INAETICS_AUTHORITY_DAYS", AUTHORITY_DAYS)


def _days(variable: str, default: float) -> float:
    text = os.environ.get(variable)
    try:
        days = default if text is None else float(text)
    except ValueError:
        days = 0.0
    if not 0 < days <= MOST_DAYS:
        raise InvalidInput(f"{variable} is {text!r}: give a number of days, up to {MOST_DAYS}")
    return days
