"""Where a cluster's files are: state that survives a reboot, and a short run directory that does not.

Imports nothing that is slow: the command line finds its sockets through this module.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from inaetics.errors import InvalidInput

SUPERVISED = "INAETICS_SUPERVISED"
"""Every process a host's supervisor starts carries this variable; its value names the host (`HostPaths.marker`)."""

SHELL = "INAETICS_SHELL"
"""The same for what a person started through `inaetics ssh`: a power cut ends it, a supervisor never adopts it."""

FLEET_SOCKET = "fleet.sock"
"""In the run directory of a control host; its owner's only."""

SWITCH = "power.sock"


def home() -> Path:
    """The directory that holds one directory a cluster: `$INAETICS_HOME`, else below `$XDG_STATE_HOME`."""
    if chosen := os.environ.get("INAETICS_HOME"):
        return Path(chosen).absolute()
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "inaetics"


def run_root() -> Path:
    """The directory for sockets and runtime state. Short, because a socket's path may have 107 characters."""
    if os.getuid() == 0:
        return Path("/run/inaetics")
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(runtime) / "inaetics"
    return Path(f"/tmp/inaetics-{os.getuid()}")


def natural(text: str) -> tuple[tuple[int, str], ...]:
    """Sort key under which worker-2 comes before worker-10."""
    return tuple((int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", text))


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPaths:
    """The files of one host: `state` survives, `run` is wiped when the host boots."""

    name: str
    state: Path
    run: Path

    @property
    def file(self) -> Path:
        """host.json: name, role, address, machine id."""
        return self.state / "host.json"

    @property
    def environment(self) -> Path:
        """host.env: the default environment of every unit on this host."""
        return self.state / "host.env"

    @property
    def pki(self) -> Path:
        return self.state / "pki"

    @property
    def supervisor(self) -> Path:
        """The supervisor's persistent directory: journals."""
        return self.state / "supervisor"

    @property
    def supervisor_log(self) -> Path:
        """The supervisor's own output, kept as the journal of a unit named `supervisor`."""
        return self.supervisor / "journal" / "supervisor" / "current"

    @property
    def units(self) -> Path:
        """The system units that the supervisor starts at boot."""
        return self.state / "units"

    @property
    def bin(self) -> Path:
        """Programs in front of everything else on the PATH of `inaetics ssh`."""
        return self.state / "bin"

    @property
    def etcd(self) -> Path:
        return self.state / "etcd"

    @property
    def discovery(self) -> Path:
        """The data of the discovery etcd (bootstrap only)."""
        return self.state / "discovery"

    @property
    def registry(self) -> Path:
        return self.state / "registry"

    @property
    def registry_socket(self) -> Path:
        """Where the image registry listens, behind its gate."""
        return self.run / "registry.sock"

    @property
    def containers(self) -> Path:
        """The host's own container store (podman --root)."""
        return self.state / "containers"

    @property
    def engine(self) -> Path:
        """engine.json: how containers are run on this host."""
        return self.state / "engine.json"

    @property
    def supervisor_run(self) -> Path:
        return self.run / "supervisor"

    @property
    def supervisor_socket(self) -> Path:
        return self.run / "supervisor.sock"

    @property
    def switch(self) -> Path:
        """The power switch of the cluster that this host is of."""
        return self.run.parent / SWITCH

    @property
    def containers_run(self) -> Path:
        return self.run / "containers"

    @property
    def marker(self) -> str:
        """The value of `INAETICS_SUPERVISED` for this host: `<cluster's directory>:<host>`."""
        return f"{self.state.parent.parent}:{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterPaths:
    """The files of one cluster."""

    name: str
    state: Path
    run: Path

    @property
    def file(self) -> Path:
        """cluster.json: name, subnet, workers, control hosts, when it was made."""
        return self.state / "cluster.json"

    @property
    def lock(self) -> Path:
        return self.state / "lock"

    @property
    def pki(self) -> Path:
        return self.state / "pki"

    @property
    def hosts(self) -> Path:
        return self.state / "hosts"

    @property
    def switch(self) -> Path:
        """Where the cluster's power switch listens, on the machine below its hosts."""
        return self.run / SWITCH

    @property
    def owner(self) -> Path:
        """In the run directory: which state directory it belongs to."""
        return self.run / "owner"

    def host(self, name: str) -> HostPaths:
        return HostPaths(name=name, state=self.hosts / name, run=self.run / name)


def cluster_paths(name: str) -> ClusterPaths:
    """The paths of the cluster `name`, whether it exists or not; raises `InvalidInput` for a name that cannot be."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,30}", name):
        raise InvalidInput(f"cluster name {name!r}: at most 31 small letters, digits and dashes, no dash in front")
    return ClusterPaths(name=name, state=home() / name, run=run_root() / name)


def fleet_sockets(cluster: str) -> list[Path]:
    """The fleet API's sockets that are there now, in host order. One may be a leftover: try the next then."""
    return sorted(cluster_paths(cluster).run.glob(f"*/{FLEET_SOCKET}"), key=lambda path: natural(path.parent.name))
