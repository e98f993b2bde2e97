"""Looking after a cluster's store: its state, snapshots, restoring one, replacing a member whose disk is lost."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from inaetics.errors import CommandFailed, Conflict, InvalidInput, NotFound, Unavailable
from inaetics.files import replace_file
from inaetics.hosts.cluster import Cluster, Host, command, load
from inaetics.hosts.environment import read
from inaetics.hosts.etcd_member import settings_from, write_config
from inaetics.hosts.formation import BEFORE, DATA, FORMATION, FORMING, JOINING
from inaetics.hosts.halt import halt_hosts
from inaetics.hosts.lock import locked
from inaetics.hosts.observe import observe
from inaetics.hosts.paths import ClusterPaths
from inaetics.hosts.progress import Progress
from inaetics.hosts.rights import operator
from inaetics.hosts.rolling import start, stop
from inaetics.hosts.settle import Request
from inaetics.hosts.system_units import ETCD
from inaetics.hosts.up import up
from inaetics.ports import ETCD_PORT, PEER_PORT
from inaetics.store import administration
from inaetics.store.administration import StoreStatus
from inaetics.store.endpoints import Tls

RESTORED = "data.restored"
ADD_S = 15.0


def endpoints(cluster: Cluster) -> dict[str, str]:
    """The members' client URLs by name."""
    return {host.name: f"https://{host.address}:{ETCD_PORT}" for host in cluster.control_hosts}


def status(paths: ClusterPaths) -> StoreStatus:
    """The store as its members see it; never raises for one that is away."""
    return asyncio.run(administration.status(endpoints(load(paths)), operator(paths)))


def snapshot(paths: ClusterPaths, file: Path) -> tuple[str, int]:
    """Write the store into `file`; returns the member it is from and its bytes. An existing file is not replaced."""
    if file.exists():
        raise Conflict(f"{file} exists: choose another name (a snapshot is never written over another)")
    if not file.parent.is_dir():
        raise NotFound(f"cannot write {file}: there is no folder {file.parent} (make it: mkdir -p {file.parent})")
    found = status(paths)
    # A follower that answers and is not behind has all of it, and the leader has enough to do.
    newest = sorted(found.answering, key=lambda member: (-member.applied, member.leads, member.name))
    if not found.quorum or not newest:
        raise Unavailable(
            "cannot take a snapshot: most of the store's members do not answer, so none can be known to be up to date"
            f" (see: {command(paths.name, 'etcd status')})"
        )
    size = asyncio.run(administration.snapshot(newest[0].endpoint, operator(paths), file))
    return newest[0].name, size


def defragment(paths: ClusterPaths, told: Callable[[str], object]) -> StoreStatus:
    """Make room in the store and end its alarm about it; returns how it is then."""
    cluster = load(paths)
    asyncio.run(administration.defragment(endpoints(cluster), operator(paths), told=told))
    return status(paths)


def restorable(paths: ClusterPaths, file: Path) -> Cluster:
    """The cluster that `file` is to be restored to; raises `NotFound` for what can be seen to fail at once."""
    cluster = load(paths)
    if not file.is_file():
        raise NotFound(f"cannot restore {file}: it is no file (make one: {command(paths.name, 'etcd snapshot FILE')})")
    return cluster


def restore(paths: ClusterPaths, file: Path, progress: Progress) -> None:
    """Halt the cluster, put the snapshot in `file` into every member, and start it again.

    Every member is restored beside its data before any data is replaced; what was there stays as `data.before`.
    """
    cluster = restorable(paths, file)
    with locked(paths, "etcd restore"):
        try:
            with progress.step("snapshot checked and unpacked"):
                _unpack_all(cluster, paths, file.absolute())
            asyncio.run(halt_hosts(cluster, cluster.hosts, paths, progress))
            with progress.step("store replaced"):
                for host in cluster.control_hosts:
                    _replace_data(cluster, paths, host)
        finally:
            for host in cluster.control_hosts:
                shutil.rmtree(paths.host(host.name).etcd / RESTORED, ignore_errors=True)
    up(paths, Request(), progress)


def replace(paths: ClusterPaths, name: str, progress: Progress) -> None:
    """Give a control host whose disk is lost a new, empty member that learns everything from the others."""
    cluster = load(paths)
    host = replaceable(cluster, name)
    with locked(paths, "etcd replace"):
        asyncio.run(_replace_member(cluster, paths, host, progress))
    up(paths, Request(hosts=(name,)), progress)


def replaceable(cluster: Cluster, name: str) -> Host:
    """The control host `name`, if its member can be replaced at all; raises what says why it cannot."""
    host = cluster.host(name)
    names = ", ".join(each.name for each in cluster.control_hosts)
    if not host.control:
        raise InvalidInput(f"{name} holds no member of the store: {names} do (a lost worker: inaetics up {name})")
    if len(cluster.control_hosts) == 1:
        raise Conflict(
            f"{name} holds the only member of the store: nobody else has what was in it"
            f" (from a snapshot: {command(cluster.name, 'etcd restore FILE')})"
        )
    return host


async def _replace_member(cluster: Cluster, paths: ClusterPaths, host: Host, progress: Progress) -> None:
    others = {name: url for name, url in endpoints(cluster).items() if name != host.name}
    with progress.step("other members asked") as step:
        found = await administration.status(others, operator(paths))
        _refuse_without_quorum(cluster, host, found)
        step.update(f"{len(found.answering)} of {len(others)} answer")
    urls, tls = list(others.values()), operator(paths)
    with progress.step("member removed, its data cleared"):
        on = (await observe(paths, [host]))[host.name].answers
        if on:
            await stop(paths.host(host.name), ETCD)
        peer = _peer(host)
        for listed in await administration.members(urls, tls):
            if listed.peer == peer or listed.name == host.name:
                await administration.remove_member(urls, tls, listed)
        _empty(cluster, paths, host)
    with progress.step("member added"):
        await _add(urls, tls, peer)
        if on:  # else `up` starts it with its host
            environment = settings_from(read(paths.host(host.name).environment))
            write_config(environment, _members(cluster))
            await start(paths.host(host.name), ETCD, wait=False)


async def _add(urls: Sequence[str], tls: Tls, peer: str) -> None:
    """Add the member; etcd refuses for a moment after a removal, until the others have met again."""
    loop = asyncio.get_running_loop()
    end = loop.time() + ADD_S
    while True:
        try:
            return await administration.add_member(urls, tls, peer)
        except Unavailable:
            if loop.time() > end:
                raise
        await asyncio.sleep(0.5)


def _refuse_without_quorum(cluster: Cluster, host: Host, found: StoreStatus) -> None:
    needed = len(cluster.control_hosts) // 2 + 1
    if len(found.answering) < needed:
        silent = ", ".join(member.name for member in found.members if member.error)
        raise Conflict(
            f"cannot replace the member on {host.name}: {silent} must answer too, or the store has no majority without"
            f" it (start it: {command(cluster.name, f'up {silent}')}; if it is lost as well, restore a snapshot:"
            f" {command(cluster.name, 'etcd restore FILE')})"
        )


def _empty(cluster: Cluster, paths: ClusterPaths, host: Host) -> None:
    """Leave of the member what it needs to come to the others: who they are, and that they have formed."""
    place = paths.host(host.name).etcd
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    shutil.rmtree(place / DATA, ignore_errors=True)
    (place / FORMING).unlink(missing_ok=True)
    (place / JOINING).touch(mode=0o600)
    _write_formation(cluster, place)


def _unpack_all(cluster: Cluster, paths: ClusterPaths, file: Path) -> None:
    token = f"{cluster.id}-{secrets.token_hex(4)}"
    members = ",".join(f"{host.name}={_peer(host)}" for host in cluster.control_hosts)
    for host in cluster.control_hosts:
        target = paths.host(host.name).etcd / RESTORED
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _unpack(file, target, host, members, token)


def _unpack(file: Path, target: Path, host: Host, members: str, token: str) -> None:
    """Make a member's data of the snapshot. From etcd 3.6 on it is etcdutl that can."""
    program = shutil.which("etcdutl") or "etcdctl"
    words = [
        *(program, "snapshot", "restore", str(file), f"--data-dir={target}", f"--name={host.name}"),
        *(f"--initial-cluster={members}", f"--initial-cluster-token={token}"),
        f"--initial-advertise-peer-urls={_peer(host)}",
    ]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ETCDCTL_")}
    try:
        done = subprocess.run(
            words, env={**clean, "ETCDCTL_API": "3"}, capture_output=True, text=True, check=False, umask=0o077
        )
    except FileNotFoundError:
        raise NotFound(f"{program} is not installed, and only it can restore (apt-get install etcd-client)") from None
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise CommandFailed(
            f"cannot restore {file}: {said} (is it a snapshot, and whole? nothing was changed)",
            status=done.returncode,
            output=done.stderr,
        )


def _replace_data(cluster: Cluster, paths: ClusterPaths, host: Host) -> None:
    place = paths.host(host.name).etcd
    shutil.rmtree(place / BEFORE, ignore_errors=True)
    if (place / DATA).exists():
        (place / DATA).rename(place / BEFORE)
    (place / RESTORED).rename(place / DATA)
    for mark in (FORMING, JOINING):
        (place / mark).unlink(missing_ok=True)
    _write_formation(cluster, place)


def _write_formation(cluster: Cluster, place: Path) -> None:
    replace_file(place / FORMATION, json.dumps(_members(cluster), indent=2) + "\n")


def _members(cluster: Cluster) -> dict[str, str]:
    return {host.name: _peer(host) for host in cluster.control_hosts}


def _peer(host: Host) -> str:
    return f"https://{host.address}:{PEER_PORT}"
