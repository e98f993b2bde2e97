"""What a host tells its programs: a file of `KEY=value` lines, the same for its units and for `inaetics ssh`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from inaetics.errors import NotFound
from inaetics.hosts.cluster import Cluster, Host, Role
from inaetics.hosts.paths import SHELL, SUPERVISED, ClusterPaths, HostPaths
from inaetics.hosts.pki import pushers
from inaetics.ports import PEER_PORT
from inaetics.units.values import environment_file

PASSED_ON = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR", "XDG_RUNTIME_DIR")
"""Variables of whoever runs `inaetics up` that the host's programs see, beside those that begin with INAETICS_;
everything else stays outside."""

NEVER_PASSED = (SUPERVISED, SHELL)

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def host_environment(
    cluster: Cluster,
    host: Host,
    paths: HostPaths,
    *,
    machine_id: str,
    python: str,
    outside: Mapping[str, str],
) -> dict[str, str]:
    """The environment of `host`. `outside` is the caller's environment, of which a few variables pass."""
    passed = {name: value for name, value in outside.items() if name in PASSED_ON or name.startswith("INAETICS_")}
    for name in NEVER_PASSED:
        passed.pop(name, None)
    passed["PATH"] = _with_system_path(passed.get("PATH", ""))
    return {
        **passed,
        **_identity(cluster, host, paths, machine_id, python),
        **_places(cluster, paths),
        "INAETICS_REGISTRIES": ",".join(cluster.registries_for(host)),
        "INAETICS_PUSHERS": ",".join(pushers(cluster)),
    }


def _identity(cluster: Cluster, host: Host, paths: HostPaths, machine_id: str, python: str) -> dict[str, str]:
    return {
        "INAETICS_CLUSTER": cluster.name,
        "INAETICS_HOME": str(paths.state.parent.parent.parent),
        "INAETICS_HOST": host.name,
        "INAETICS_MACHINE_ID": machine_id,
        "INAETICS_ADDRESS": host.address,
        "INAETICS_ROLE": host.role.value,
        "INAETICS_METADATA": "role=inaetics-agent" if host.role is Role.WORKER else "",
        "INAETICS_PYTHON": python,
        "INAETICS_SHARED_BY": str(cluster.workers),
        "INAETICS_STATE": str(paths.state),
        "INAETICS_RUN": str(paths.run),
        "INAETICS_UNITS_STATE": str(paths.supervisor),
        "INAETICS_UNITS_RUN": str(paths.supervisor_run),
        "INAETICS_PKI": str(paths.pki),
        "INAETICS_POWER": str(paths.switch) if host.control else "",
        "INAETICS_NODE_TLS": str(paths.pki / "node"),
    }


def _places(cluster: Cluster, paths: HostPaths) -> dict[str, str]:
    etcd = ",".join(cluster.etcd_endpoints)
    return {
        "INAETICS_CLUSTER_ID": cluster.id,
        "INAETICS_ETCD_SIZE": str(len(cluster.control_hosts)),
        "INAETICS_ETCD_ENDPOINTS": etcd,
        "INAETICS_DISCOVERY": cluster.discovery,
        "INAETICS_ETCD_MEMBERS": "" if cluster.bootstrap else _members(cluster),
        "INAETICS_REGISTRY": cluster.registry,
        "INAETICS_API_ENDPOINTS": ",".join(cluster.api_endpoints),
        "FLEETCTL_ENDPOINT": ",".join(cluster.api_endpoints),
        "FLEETCTL_CA_FILE": str(paths.pki / "ca.pem"),
        "FLEETCTL_CERT_FILE": str(paths.pki / "agent.pem"),
        "FLEETCTL_KEY_FILE": str(paths.pki / "agent.key"),
        "ETCDCTL_API": "3",
        "ETCDCTL_ENDPOINTS": etcd,
        "ETCDCTL_CACERT": str(paths.pki / "ca.pem"),
        "ETCDCTL_CERT": str(paths.pki / "agent.pem"),
        "ETCDCTL_KEY": str(paths.pki / "agent.key"),
    }


def _members(cluster: Cluster) -> str:
    """The store's first members as etcd writes them, for a cluster that has nobody to ask for them."""
    return ",".join(f"{host.name}=https://{host.address}:{PEER_PORT}" for host in cluster.control_hosts)


def as_operator(cluster: ClusterPaths) -> dict[str, str]:
    """The variables by which fleetctl and etcdctl speak with the operator's certificate."""
    cert, key = str(cluster.pki / "operator.pem"), str(cluster.pki / "operator.key")
    return {
        "FLEETCTL_CERT_FILE": cert,
        "FLEETCTL_KEY_FILE": key,
        "ETCDCTL_CERT": cert,
        "ETCDCTL_KEY": key,
    }


def _with_system_path(path: str) -> str:
    """`path` with the directories of Debian's programs behind it: runc is in /usr/sbin, which people's PATH lacks."""
    parts = [part for part in path.split(":") if part]
    return ":".join([*parts, *(part for part in SYSTEM_PATH.split(":") if part not in parts)])


def to_text(environment: Mapping[str, str]) -> str:
    """The file's text, as systemd's EnvironmentFile= and our supervisor read it."""
    return "".join(f"{name}={_quoted(value)}\n" for name, value in environment.items())


def _quoted(value: str) -> str:
    if re.fullmatch(r"[\w@%+=:,./-]*", value):
        return value
    return '"' + re.sub(r'(["\\`$])', r"\\\1", value) + '"'


def read(file: Path) -> dict[str, str]:
    """Read host.env. Raises `NotFound` when the host was never made."""
    try:
        return environment_file(file.read_text(), source=str(file))
    except FileNotFoundError:
        raise NotFound(f"{file} is missing: this host was never made (make it: inaetics up)") from None
