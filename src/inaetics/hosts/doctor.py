"""What is missing or wrong on this machine and with this cluster, and what would help. Looks, changes nothing."""

from __future__ import annotations

import asyncio
import datetime
import errno
import platform
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from inaetics.containers.engine import probe
from inaetics.errors import CommandFailed, InaeticsError, NotFound
from inaetics.hosts.cluster import FIRST_SUBNET, Cluster, Host, Role, command, known_hosts, load
from inaetics.hosts.disk import disks
from inaetics.hosts.mounts import below, foreign
from inaetics.hosts.observe import HostState, observe
from inaetics.hosts.paths import SUPERVISED, ClusterPaths
from inaetics.hosts.ports import holder, in_use
from inaetics.hosts.processes import processes
from inaetics.hosts.programs import PROGRAMS, install_command
from inaetics.hosts.renewal import SOON_DAYS, inventory, warning
from inaetics.hosts.versions import program_version
from inaetics.ports import NODE_AGENT_PORTS
from inaetics.supervisor.cgroups import possible_groups

PYTHON = (3, 11)
ETCD = (3, 4)
PODMAN = (4, 0)
FREE_BYTES = 3_000_000_000
"""Images, five container stores and the registry of the demonstrator take 1.5 GB."""

SOCKET_PATH = 107


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing looked at. `help` says what to do about it, for all that is not ok."""

    what: str
    level: Level
    found: str
    help: str = ""


def examine(paths: ClusterPaths) -> Iterator[Finding]:
    """Yield every finding, the quick ones first. Never raises for what is wrong: that is a finding."""
    cluster = _load(paths)
    checks: list[Callable[[], Iterator[Finding]]] = [
        _python,
        _programs,
        lambda: _space(paths),
        lambda: _sockets(paths),
        lambda: _loopback(cluster if isinstance(cluster, Cluster) else None),
        _clock,
        _limits,
        lambda: _strays(paths),
        lambda: _cluster(paths, cluster),
        lambda: _engine(paths),
    ]
    for check in checks:
        yield from check()


def _load(paths: ClusterPaths) -> Cluster | InaeticsError | None:
    try:
        return load(paths)
    except NotFound:
        return None
    except InaeticsError as error:
        return error


def _finding(what: str, good: bool, found: str, help: str, *, bad: Level = Level.WRONG) -> Finding:
    return Finding(what=what, level=Level.OK if good else bad, found=found, help="" if good else help)


def _python() -> Iterator[Finding]:
    wanted = ".".join(map(str, PYTHON))
    help = f"use Python {wanted} or newer: make demo PYTHON=python{wanted}"
    yield _finding("Python", sys.version_info >= PYTHON, platform.python_version(), help)


def _programs() -> Iterator[Finding]:
    least = {"etcd": ETCD, "podman": PODMAN}
    for program in PROGRAMS:
        version = program_version(program.name)
        bad = Level.WRONG if program.required else Level.WARNING
        install = f"{install_command([program])}  ({program.purpose})"
        old = version is not None and program.name in least and _numbers(version) < least[program.name]
        wanted = ".".join(map(str, least.get(program.name, ())))
        help = f"version {wanted} or newer is needed: {install}" if old else install
        yield _finding(program.name, version is not None and not old, version or "not installed", help, bad=bad)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


def _space(paths: ClusterPaths) -> Iterator[Finding]:
    for what, place in (("disk space for state", paths.state), ("disk space for sockets", paths.run)):
        there = next(each for each in (place, *place.parents) if each.exists())
        free = shutil.disk_usage(there).free
        needed = FREE_BYTES if place == paths.state else 10_000_000
        help = f"make room on the file system of {there}, or put the state elsewhere: INAETICS_HOME=DIR"
        yield _finding(what, free >= needed, f"{free / 1e9:.1f} GB free at {there}", help, bad=Level.WARNING)


def _sockets(paths: ClusterPaths) -> Iterator[Finding]:
    longest = paths.host("worker-100").supervisor_socket
    length = len(str(longest))
    help = "a shorter cluster name, or a shorter XDG_RUNTIME_DIR"
    yield _finding("socket paths", length <= SOCKET_PATH, f"{length} of {SOCKET_PATH} characters", help)


def _loopback(cluster: Cluster | None) -> Iterator[Finding]:
    subnet = cluster.subnet if cluster else ".".join(map(str, FIRST_SUBNET))
    address = f"{subnet}.2"
    with socket.socket() as probe_socket:
        try:
            probe_socket.bind((address, 0))
        except OSError as error:
            help = "Linux gives a machine all of 127.0.0.0/8; is the loopback interface up? (ip link set lo up)"
            yield _finding("loopback addresses", False, f"{address}: {errno.errorcode[error.errno or 0]}", help)
            return
    yield _finding("loopback addresses", True, f"{address} can be bound", "")


def _clock() -> Iterator[Finding]:
    newest = max(path.stat().st_mtime for path in Path(__file__).parent.glob("*.py"))
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    help = (
        "the clock is behind this program's own files: certificates made now would not be valid (set it: timedatectl)"
    )
    yield _finding("clock", time.time() > newest - 86400, now, help)


def _limits() -> Iterator[Finding]:
    found = possible_groups()
    missing = sorted({"memory", "cpu", "pids"} - found.controllers)
    help = (
        f"units' limits that need {', '.join(missing)} are not kept, and say so (run as root, or where these "
        "controllers are delegated: systemd-run --user --scope -p Delegate=yes inaetics up)"
    )
    yield _finding("limits of units", not missing, found.describe(), help, bad=Level.WARNING)


def _strays(paths: ClusterPaths) -> Iterator[Finding]:
    """Processes of clusters whose directory is gone: nothing can stop them any more but a person."""
    strays = [
        process
        for process in processes().values()
        for marker in process.markers
        if marker.startswith(f"{SUPERVISED}={paths.state.parent}/") and not _state_of(marker).exists()
    ]
    found = ", ".join(f"{each.pid} ({_state_of(next(iter(each.markers))).name})" for each in strays) or "none"
    help = f"kill -9 {' '.join(str(each.pid) for each in strays)}"
    yield _finding("processes of deleted clusters", not strays, found, help)


def _state_of(marker: str) -> Path:
    return Path(marker.partition("=")[2].rpartition(":")[0])


def _cluster(paths: ClusterPaths, cluster: Cluster | InaeticsError | None) -> Iterator[Finding]:
    what = f"cluster {paths.name}"
    if cluster is None:
        yield _finding(what, True, "not made yet", "")
    elif isinstance(cluster, InaeticsError):
        yield _finding(what, False, str(cluster), command(paths.name, "destroy"))
    else:
        yield from _hosts(paths, cluster)
        yield from _leftovers(paths, cluster)
        yield from _certificates(paths, cluster)
        yield from _disks(paths, cluster)


def _hosts(paths: ClusterPaths, cluster: Cluster) -> Iterator[Finding]:
    seen = asyncio.run(observe(paths, cluster.hosts))
    for each in seen.values():
        help = command(paths.name, f"journal {each.host.name}") + f"; {command(paths.name, f'up {each.host.name}')}"
        good = each.state in (HostState.RUNNING, HostState.HALTED)
        bad = Level.WARNING if each.state is HostState.STARTING else Level.WRONG
        yield _finding(f"host {each.host.name}", good, each.trouble or each.state.value, help, bad=bad)
    yield from _ports([each.host for each in seen.values() if not each.processes])


def _ports(off: list[Host]) -> Iterator[Finding]:
    wanted = [(host.address, port) for host in off for port in host.ports]
    wanted += [(host.address, port) for host in off if host.role is Role.WORKER for port in NODE_AGENT_PORTS]
    taken = in_use(wanted)
    named = {f"{address}:{port}": holder(listener.inode) for address, port, listener in taken}
    found = "; ".join(f"{address} by {who}" for address, who in list(named.items())[:5]) or "free"
    yield _finding("addresses of hosts that are off", not taken, found, "stop what listens there")


def _leftovers(paths: ClusterPaths, cluster: Cluster) -> Iterator[Finding]:
    surplus = sorted(set(known_hosts(paths)) - {host.name for host in cluster.hosts})
    if surplus:
        help = f"rm -r {' '.join(str(paths.hosts / name) for name in surplus)}"
        yield _finding("directories of removed hosts", False, ", ".join(surplus), help, bad=Level.WARNING)
    for mount in foreign(below([paths.state, paths.run])):
        help = f"umount {mount.point}  (destroy refuses to work around it)"
        yield _finding("mounts inside the cluster", False, f"{mount.point} ({mount.kind})", help, bad=Level.WARNING)


def _certificates(paths: ClusterPaths, cluster: Cluster) -> Iterator[Finding]:
    now = datetime.datetime.now(datetime.UTC)
    entries = inventory(paths, cluster)
    first = min(entries, key=lambda entry: entry.days_left(now))
    left = first.days_left(now)
    help = warning(paths, cluster) or ""
    found = f"the first ends in {left:.0f} days ({first.file})" if first.ends else f"cannot read {first.file}"
    yield _finding("certificates", left >= SOON_DAYS, found, help, bad=Level.WRONG if left < 0 else Level.WARNING)


def _disks(paths: ClusterPaths, cluster: Cluster) -> Iterator[Finding]:
    for found in disks((host.name, paths.host(host.name).state) for host in cluster.hosts):
        help = "make room: inaetics image prune, inaetics image prune --registry"
        yield _finding("disk of the hosts", not found.low, str(found), help, bad=Level.WARNING)


def _engine(paths: ClusterPaths) -> Iterator[Finding]:
    near = next(each for each in (paths.state, *paths.state.parents) if each.exists())
    try:
        findings = probe(near)
    except NotFound as error:
        yield _finding("container engine", False, "none", str(error), bad=Level.WARNING)
    except CommandFailed as error:
        yield _finding("container engine", False, str(error), error.output.strip()[-500:])
    else:
        flags = [findings.runtime, findings.cgroup_manager, findings.storage_driver, *findings.ulimits]
        found = f"{findings.program} {findings.version} runs and builds"
        with_flags = ", ".join(filter(None, flags))
        yield _finding("container engine", True, f"{found} ({with_flags})" if with_flags else found, "")
