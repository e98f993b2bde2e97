"""How each host runs its containers: the machine's engine, on a store of the host's own."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import msgspec

from inaetics.containers.engine import probe
from inaetics.containers.findings import Findings
from inaetics.containers.store import Store, prepare, recover
from inaetics.errors import Conflict
from inaetics.files import replace_file
from inaetics.hosts.cluster import Cluster, Host
from inaetics.hosts.paths import ClusterPaths, HostPaths
from inaetics.hosts.wrappers import write_podman
from inaetics.units.container_engine import ContainerEngine


def store_of(cluster: Cluster, host: Host, paths: HostPaths) -> Store:
    """The container store of `host`."""
    return Store(
        root=paths.containers,
        runroot=paths.containers_run,
        settings=paths.state / "containers.conf.d",
        cgroup=f"/inaetics/{cluster.name}/{host.name}",
        registry=cluster.registry,
        sources=cluster.registries_for(host),
        certificates=paths.pki / "registry-client",
        address=host.address,
    )


def prepare_engines(cluster: Cluster, hosts: Iterable[Host], paths: ClusterPaths) -> Findings:
    """Find out how containers run here and write every host's `engine.json`.

    The first time takes seconds, later it is known. Raises `NotFound` without an engine, `CommandFailed` with its own
    words when nothing works.
    """
    findings = probe(paths.state)
    for host in hosts:
        engine = prepare(store_of(cluster, host, paths.host(host.name)), findings)
        replace_file(paths.host(host.name).engine, msgspec.json.encode(engine).decode() + "\n")
        write_podman(paths.host(host.name), engine, registries=cluster.registries)
    return findings


def engine_of(paths: HostPaths) -> ContainerEngine | None:
    """The host's engine, or None when none was found so far."""
    try:
        return msgspec.json.decode(paths.engine.read_bytes(), type=ContainerEngine)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise Conflict(
            f"cannot read {paths.engine}: {error} (delete it: the next 'inaetics up' makes it anew)"
        ) from error


def clear_dead_containers(paths: HostPaths) -> None:
    """After a power cut: remove the records of containers that died with it. Quick when there are none."""
    engine = engine_of(paths)
    if engine is not None and has_containers(paths.containers):
        recover(engine)


def has_containers(store: Path) -> bool:
    """Whether the engine's records name any container; read from its files, without starting it."""
    for record in store.glob("*-containers/containers.json"):
        try:
            if json.loads(record.read_text()):
                return True
        except (OSError, ValueError):
            return True  # unreadable: let the engine have a look
    return False
