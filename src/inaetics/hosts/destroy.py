"""`destroy`: nothing of a cluster stays, no process, container, mount or file; and nothing else goes.

Everything is looked at before anything is touched: what a person put into the cluster's directory stops it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from inaetics.containers.store import Store, remove
from inaetics.errors import Conflict, NotFound
from inaetics.hosts.cluster import command, known_hosts
from inaetics.hosts.engines import engine_of, has_containers
from inaetics.hosts.lock import locked
from inaetics.hosts.mounts import below, foreign, unmount
from inaetics.hosts.paths import ClusterPaths, HostPaths, home
from inaetics.hosts.processes import power_cut
from inaetics.hosts.progress import Progress
from inaetics.supervisor.cgroups import remove_groups

OURS = frozenset({"cluster.json", "lock", "pki", "hosts"})
"""What a cluster's directory holds."""


SCRATCH = (".cluster.json.", ".probe-")
"""What a crash in the middle of writing, or of trying the container engine, may leave beside it."""


def destroy(paths: ClusterPaths, progress: Progress) -> None:
    """Remove the cluster; raises `NotFound` when there is none, `Conflict` (nothing was touched) for what is odd."""
    refuse_oddities(paths)
    with locked(paths, "destroy"):
        runs_here = _owns_run(paths)
        hosts = [paths.host(name) for name in known_hosts(paths)]
        with progress.step("processes ended") as step:
            step.update(str(power_cut(hosts)))
        with progress.step("files removed"):
            delete_hosts(hosts, paths.name, with_run=runs_here)
            if runs_here:
                _delete(paths.run)
            shutil.rmtree(paths.state)
    _remove_when_empty(paths.run.parent)
    if "INAETICS_HOME" not in os.environ:
        _remove_when_empty(home())


def refuse_oddities(paths: ClusterPaths) -> None:
    """Raise `NotFound` when there is no cluster, `Conflict` when its directory is not as we made it."""
    state = paths.state
    if not os.path.lexists(state):
        raise NotFound(f"there is no cluster {paths.name!r}: nothing to destroy")
    if state.is_symlink() or not state.is_dir():
        raise Conflict(f"{state} is no directory of ours: destroy does not follow links (look at it, then remove it)")
    if state.stat().st_uid != os.getuid():
        raise Conflict(f"{state} belongs to user {state.stat().st_uid}: destroy the cluster as that user")
    names = {path.name for path in state.iterdir()}
    if not names & {"cluster.json", "hosts", "pki"} and names - {"lock"}:
        raise Conflict(f"{state} holds no cluster: nothing was removed")
    strange = sorted(name for name in names - OURS if not name.startswith(SCRATCH))
    if strange:
        raise Conflict(f"{state} holds what is not the cluster's: {', '.join(strange)} (move it elsewhere first)")
    if mounts := foreign(below([state, paths.run])):
        points = ", ".join(f"{each.point} ({each.kind})" for each in mounts)
        again = command(paths.name, "destroy")
        raise Conflict(f"something is mounted inside the cluster's directory: {points} (unmount it, then: {again})")


def delete_hosts(hosts: Sequence[HostPaths], cluster: str, *, with_run: bool = True) -> None:
    """Delete dead hosts with their container stores, mounts and directories, several at once."""
    places = hosts if with_run else [replace(host, run=host.state / "no-run") for host in hosts]
    with ThreadPoolExecutor(max_workers=4) as pool:
        list(pool.map(lambda host: _delete_host(host, cluster), places))


def _owns_run(paths: ClusterPaths) -> bool:
    """Whether the run directory is this cluster's, and not one's of the same name below another INAETICS_HOME."""
    return not paths.owner.exists() or paths.owner.read_text().strip() == str(paths.state)


def _delete_host(host: HostPaths, cluster: str) -> None:
    store = Store(
        root=host.containers,
        runroot=host.containers_run,
        settings=host.state / "containers.conf.d",
        cgroup=f"/inaetics/{cluster}/{host.name}",
    )
    # As root, a store without containers is only directories; starting the engine for it takes its time.
    needed = os.getuid() != 0 or has_containers(host.containers)
    remove(store, engine_of(host) if needed else None)
    remove_groups(host.supervisor)
    for directory in (host.run, host.state):
        _delete(directory)


def _delete(directory: Path) -> None:
    unmount([directory])
    if directory.exists():
        shutil.rmtree(directory)


def _remove_when_empty(directory: Path) -> None:
    if directory.is_dir() and not _holds(directory.iterdir()):
        directory.rmdir()


def _holds(entries: Iterable[Path]) -> bool:
    return any(True for _ in entries)
