"""What a cluster is made of: its name, its subnet, its hosts, and which of them hold the control plane.

The control hosts are chosen when a cluster is made and stay: three of them from three workers on, otherwise one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from inaetics.errors import Conflict, Forbidden, InvalidInput, NotFound
from inaetics.files import replace_file
from inaetics.hosts.paths import ClusterPaths, HostPaths, natural
from inaetics.ports import AGENT_PORT, API_PORT, ETCD_PORT, PEER_PORT, REGISTRY_PORT

DEFAULT_WORKERS = 5
MAX_WORKERS = 150
FIRST_SUBNET = (127, 17, 8)

VERSION = 1
"""Of cluster.json."""


class Role(StrEnum):
    BOOTSTRAP = "bootstrap"
    WORKER = "worker"


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A machine of the cluster; `control` hosts also run etcd, the API and an engine candidate."""

    name: str
    role: Role
    address: str
    control: bool = False

    @property
    def ports(self) -> tuple[int, ...]:
        """The TCP ports its system units listen on."""
        if self.role is Role.BOOTSTRAP:
            return (ETCD_PORT, PEER_PORT, REGISTRY_PORT)
        return (ETCD_PORT, PEER_PORT, REGISTRY_PORT, API_PORT, AGENT_PORT) if self.control else (AGENT_PORT,)

    @property
    def registry(self) -> str:
        """Where this host's image registry is, if it has one: host:port."""
        return f"{self.address}:{REGISTRY_PORT}" if self.control or self.role is Role.BOOTSTRAP else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A cluster as people asked for it. `subnet` is three numbers, such as 127.17.8; `id` is made once."""

    name: str
    subnet: str
    workers: int
    control: tuple[str, ...]
    created: float
    id: str
    bootstrap: bool = True
    """Whether there is a bootstrap host. Without one the store forms from the inventory alone."""

    @property
    def hosts(self) -> tuple[Host, ...]:
        """Bootstrap first, if there is one, then the workers by number."""
        bootstrap = Host(name="bootstrap", role=Role.BOOTSTRAP, address=f"{self.subnet}.2")
        workers = tuple(self.worker(number) for number in range(1, self.workers + 1))
        return (bootstrap, *workers) if self.bootstrap else workers

    def worker(self, number: int) -> Host:
        name = f"worker-{number}"
        address = f"{self.subnet}.{100 + number}"
        return Host(name=name, role=Role.WORKER, address=address, control=name in self.control)

    @property
    def control_hosts(self) -> tuple[Host, ...]:
        return tuple(host for host in self.hosts if host.control)

    @property
    def discovery(self) -> str:
        """Where the store's first members find each other; empty without a bootstrap host."""
        return f"https://{self.subnet}.2:{ETCD_PORT}" if self.bootstrap else ""

    @property
    def builder(self) -> Host:
        """The host whose container store images are built in."""
        return self.hosts[0] if self.bootstrap else self.control_hosts[0]

    @property
    def registry(self) -> str:
        """The registry that images are named after, wherever they are pulled from."""
        return self.builder.registry

    @property
    def registries(self) -> tuple[str, ...]:
        """Every registry of the cluster, the one that images are named after first."""
        return tuple(host.registry for host in self.hosts if host.registry)

    def registries_for(self, host: Host) -> tuple[str, ...]:
        """Where `host` pulls from, best first: its own, the other control hosts', the bootstrap host's.

        Hosts without a registry of their own begin at different ones.
        """
        control = [each.registry for each in self.control_hosts]
        turn = int(host.name.rpartition("-")[2]) % len(control) if host.role is Role.WORKER else 0
        others = [each for each in (*control[turn:], *control[:turn]) if each != host.registry]
        last = [] if host.role is Role.BOOTSTRAP or not self.bootstrap else [self.registry]
        return ((host.registry,) if host.registry else ()) + (*others, *last)

    @property
    def etcd_endpoints(self) -> tuple[str, ...]:
        return tuple(f"https://{host.address}:{ETCD_PORT}" for host in self.control_hosts)

    @property
    def api_endpoints(self) -> tuple[str, ...]:
        return tuple(f"https://{host.address}:{API_PORT}" for host in self.control_hosts)

    def host(self, name: str) -> Host:
        """The host of that name; raises `NotFound` that lists the names there are."""
        for host in self.hosts:
            if host.name == name:
                return host
        names = f"worker-1 … worker-{self.workers}" if self.workers > 1 else "worker-1"
        names = f"bootstrap, {names}" if self.bootstrap else names
        raise NotFound(f"cluster {self.name!r} has no host {name!r}: its hosts are {names}")


def control_of(workers: int) -> tuple[str, ...]:
    """Which workers carry the control plane of a new cluster: an odd number, so that a majority exists."""
    return ("worker-1", "worker-2", "worker-3") if workers >= 3 else ("worker-1",)


def check_subnet(subnet: str) -> str:
    """Three numbers below 127, where every address is the machine's own without further set-up."""
    parts = subnet.removesuffix(".0/24").split(".")
    valid = len(parts) == 3 and all(part.isdigit() and int(part) <= 255 and str(int(part)) == part for part in parts)
    if not valid or parts[0] != "127" or parts[1:] == ["0", "0"]:
        raise InvalidInput(f"subnet {subnet!r}: give three numbers that begin with 127, such as 127.17.8")
    return ".".join(parts)


def check_workers(workers: int) -> int:
    if not 1 <= workers <= MAX_WORKERS:
        raise InvalidInput(f"{workers} workers: a cluster on one machine has 1 to {MAX_WORKERS}")
    return workers


def load(paths: ClusterPaths) -> Cluster:
    """Read cluster.json; raises `NotFound` when there is no such cluster."""
    try:
        raw = json.loads(paths.file.read_text())
        return Cluster(
            name=raw["name"],
            subnet=raw["subnet"],
            workers=raw["workers"],
            control=tuple(raw["control"]),
            created=raw["created"],
            id=raw["id"],
            bootstrap=raw.get("bootstrap", True),
        )
    except FileNotFoundError:
        raise NotFound(f"there is no cluster {paths.name!r} (make one: {command(paths.name, 'up')})") from None
    except PermissionError:
        raise Forbidden(
            f"cluster {paths.name!r} is another user's: {paths.file} cannot be read (be that user, or make a cluster of"
            " your own: another --cluster, INAETICS_HOME at a folder of yours)"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise Conflict(
            f"cannot read {paths.file}: it is no record of a cluster ({error}); put it back from a copy, or remove the"
            f" cluster: {command(paths.name, 'destroy')}"
        ) from error


def save(paths: ClusterPaths, cluster: Cluster) -> None:
    """Write cluster.json, whole or not at all."""
    record = {"version": VERSION, "name": cluster.name, "subnet": cluster.subnet, "workers": cluster.workers}
    record |= {"control": cluster.control, "created": cluster.created, "id": cluster.id}
    record |= {"bootstrap": cluster.bootstrap}
    replace_file(paths.file, json.dumps(record, indent=2) + "\n")


def subnets_in_use(home: Path) -> dict[str, str]:
    """Subnet → cluster, of every cluster that has its state in `home`."""
    found: dict[str, str] = {}
    for file in sorted(home.glob("*/cluster.json")):
        try:
            found.setdefault(json.loads(file.read_text())["subnet"], file.parent.name)
        except (ValueError, KeyError, OSError):
            continue  # not a cluster of ours, or being destroyed: it holds no subnet
    return found


def free_subnet(used: Mapping[str, str]) -> str:
    """The first subnet from 127.17.8 on that no cluster has."""
    first, second, third = FIRST_SUBNET
    for number in range(third, 255):
        if (subnet := f"{first}.{second}.{number}") not in used:
            return subnet
    raise Conflict("no subnet is left between 127.17.8 and 127.17.254: destroy a cluster or name one with --subnet")


def machine_id(paths: HostPaths) -> str:
    """The host's machine id from host.json; raises `NotFound` for a host never made."""
    try:
        found: str = json.loads(paths.file.read_text())["machine_id"]
    except (FileNotFoundError, ValueError, KeyError):
        raise NotFound(f"host {paths.name!r} was never made (make it: inaetics up)") from None
    return found


def known_hosts(paths: ClusterPaths) -> list[str]:
    """Every host that has a directory, of the cluster's count or left from a larger one, in order."""
    return sorted((path.name for path in paths.hosts.glob("*") if path.is_dir()), key=natural)


def command(cluster: str, words: str) -> str:
    """`inaetics WORDS` as a person would type it for this cluster."""
    return f"inaetics {words}" if cluster == "demo" else f"inaetics {words} --cluster {cluster}"
