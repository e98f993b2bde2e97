"""The cluster's own certificates: two authorities, and for every host a certificate for each thing it does.

Promises: keys are P-256, readable by their owner only, and never leave the cluster's directory; running it again
changes nothing but what is missing, about to expire, or made for other names.

Two authorities, because node agents in containers carry certificates too: etcd trusts both, the API and the registry
trust only `ca`, so what a container holds never opens them.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

from inaetics.errors import Conflict
from inaetics.hosts.certificates import (
    Authority,
    describes,
    new_certificate,
    new_key,
    pem_of_certificate,
    pem_of_key,
    read_authority,
    read_certificate,
)
from inaetics.hosts.cluster import Host, Role, write_atomically
from inaetics.hosts.paths import ClusterPaths, HostPaths

AUTHORITY_DAYS = 3650
LEAF_DAYS = 825
RENEW_BEFORE_DAYS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A certificate a host needs: files below its `pki/`, the common name, who signs it, and whether it serves."""

    certificate: str
    key: str
    common_name: str
    authority: str = "ca"
    server: bool = True


def wanted(host: Host) -> tuple[Wanted, ...]:
    """The certificates of one host. Every host has `agent`, which is also what its shell uses."""
    name = host.name
    found = [
        Wanted(certificate="agent.pem", key="agent.key", common_name=f"agent-{name}"),
        Wanted(
            certificate="registry-client/client.cert",
            key="registry-client/client.key",
            common_name=f"registry-client-{name}",
            server=False,
        ),
    ]
    if host.control or host.role is Role.BOOTSTRAP:
        found.append(Wanted(certificate="etcd.pem", key="etcd.key", common_name=f"etcd-{name}"))
    if host.control:
        found.append(Wanted(certificate="api.pem", key="api.key", common_name=f"api-{name}"))
    if host.role is Role.BOOTSTRAP:
        found.append(Wanted(certificate="registry.pem", key="registry.key", common_name=f"registry-{name}"))
    if host.role is Role.WORKER:
        found.append(
            Wanted(
                certificate="node/cert.pem",
                key="node/key.pem",
                common_name=f"node-{name}",
                authority="nodes-ca",
            )
        )
    return tuple(found)


def ensure_authorities(paths: ClusterPaths, cluster: str) -> dict[str, Authority]:
    """Load the cluster's authorities, making what is missing, and the operator's certificate with them."""
    authorities = {
        name: _ensure_authority(paths.pki, name, f"inaetics {cluster} {name}") for name in ("ca", "nodes-ca")
    }
    operator = Wanted(certificate="operator.pem", key="operator.key", common_name="operator", server=False)
    _ensure_leaf(paths.pki, operator, authorities, address=None)
    return authorities


def ensure_host(paths: HostPaths, host: Host, authorities: dict[str, Authority]) -> list[str]:
    """Make what certificates `host` lacks; returns the files that were written."""
    ca, nodes = authorities["ca"].pem, authorities["nodes-ca"].pem
    bundles = {"ca.pem": ca, "etcd-clients.pem": ca + nodes, "registry-client/ca.crt": ca}
    if host.role is Role.WORKER:
        bundles["node/ca.pem"] = ca + nodes
    written = [name for name, text in bundles.items() if _ensure_text(paths.pki / name, text)]
    made = (each for each in wanted(host) if _ensure_leaf(paths.pki, each, authorities, address=host.address))
    return written + [each.certificate for each in made]


def expires(certificate: Path) -> datetime.datetime:
    """When a certificate on disk ends, in UTC."""
    return read_certificate(certificate.read_bytes()).not_valid_after_utc


def _ensure_text(path: Path, text: str) -> bool:
    if path.exists() and path.read_text() == text:
        return False
    write_atomically(path, text)
    return True


def _ensure_authority(directory: Path, name: str, common_name: str) -> Authority:
    certificate_file, key_file = directory / f"{name}.pem", directory / f"{name}.key"
    if certificate_file.exists() and key_file.exists():
        try:
            return read_authority(certificate_file.read_text(), key_file.read_bytes())
        except (ValueError, TypeError) as error:
            raise Conflict(
                f"cannot read the cluster's authority {certificate_file}: {error}"
                " (put both files back as they were, or make the cluster anew: inaetics destroy)"
            ) from error
    key = new_key()
    certificate = new_certificate(common_name, key, days=AUTHORITY_DAYS)
    write_atomically(key_file, pem_of_key(key))
    write_atomically(certificate_file, pem := pem_of_certificate(certificate))
    return Authority(certificate=certificate, key=key, pem=pem)


def _ensure_leaf(directory: Path, want: Wanted, authorities: dict[str, Authority], *, address: str | None) -> bool:
    issuer = authorities[want.authority]
    certificate_file, key_file = directory / want.certificate, directory / want.key
    served = address if want.server else None
    if certificate_file.exists() and key_file.exists():
        pems = certificate_file.read_bytes(), key_file.read_bytes()
        if describes(*pems, want.common_name, issuer=issuer, address=served, days=RENEW_BEFORE_DAYS):
            return False
    key = new_key()
    certificate = new_certificate(want.common_name, key, days=LEAF_DAYS, issuer=issuer, address=served)
    write_atomically(key_file, pem_of_key(key))
    write_atomically(certificate_file, pem_of_certificate(certificate))
    return True
