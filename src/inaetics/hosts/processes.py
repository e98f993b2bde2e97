"""Which processes belong to a host, and ending all of them at once: what a power cut does.

A host's processes carry its marker in their environment. Containers do not (podman's monitor drops it), so the monitors
are known by the paths in their command line, and everything below a process of the host is the host's too.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from inaetics.errors import Conflict
from inaetics.hosts.paths import SHELL, SUPERVISED, HostPaths
from inaetics.supervisor import procfs

KEEPER = "inaetics-keeper"
"""$0 of the shell loop that restarts a host's supervisor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process as /proc shows it. `started` (clock ticks since boot) tells it from a later one of the same number."""

    pid: int
    parent: int
    started: int
    arguments: tuple[str, ...]
    markers: frozenset[str]

    @property
    def is_keeper(self) -> bool:
        return KEEPER in self.arguments[:4]

    @property
    def command(self) -> str:
        return " ".join(self.arguments)


def processes(proc: Path = Path("/proc")) -> dict[int, Process]:
    """Every process that runs now, by number; zombies and kernel threads are left out."""
    found = (_read(proc / name) for name in os.listdir(proc) if name.isdigit())
    return {process.pid: process for process in found if process is not None}


def of_hosts(
    hosts: Iterable[HostPaths], running: dict[int, Process], *, shells: bool = True, known: Collection[Process] = ()
) -> list[Process]:
    """Every process of `hosts` with all below it, keepers first; never ourselves or what we were started by.

    `known` are processes seen before: they count as the hosts' even when what made them known is gone. Without
    `shells` only what a supervisor started counts.
    """
    hosts = list(hosts)
    markers = {f"{SUPERVISED}={host.marker}" for host in hosts}
    if shells:
        markers |= {f"{SHELL}={host.marker}" for host in hosts}
    stores = tuple(f"{path}/" for host in hosts for path in (host.containers, host.containers_run))
    seen = {(process.pid, process.started) for process in known}
    roots = [
        process
        for process in running.values()
        if process.markers & markers or (process.pid, process.started) in seen or _monitors(process, stores)
    ]
    spared = set(_ancestors(os.getpid(), running))
    found = [process for process in _with_descendants(roots, running) if process.pid not in spared]
    return sorted(found, key=lambda process: (not process.is_keeper, process.pid))


def power_cut(hosts: Iterable[HostPaths], *, within_s: float = 10.0) -> int:
    """Kill everything that runs on `hosts`, again and again until nothing is left; returns how many were killed.

    Raises `Conflict` that names what cannot be killed.
    """
    hosts = list(hosts)
    killed: dict[tuple[int, int], Process] = {}
    deadline = time.monotonic() + within_s
    while left := of_hosts(hosts, processes(), known=killed.values()):
        if time.monotonic() > deadline:
            named = "; ".join(f"{process.pid} {process.command[:80]}" for process in left)
            raise Conflict(f"cannot kill: {named} (waiting in the kernel, for a disk or network file system perhaps)")
        for process in left:
            killed[process.pid, process.started] = process
            _kill(process)
        time.sleep(0.01)
    return len(killed)


def alive(host: HostPaths, running: dict[int, Process]) -> bool:
    """Whether anything that the host's supervisor started, or the supervisor itself, still runs."""
    return bool(of_hosts([host], running, shells=False))


def supervisors(host: HostPaths, running: dict[int, Process]) -> list[Process]:
    """The keeper and the supervisor of `host`, as far as they live."""
    marker = f"{SUPERVISED}={host.marker}"
    return [
        process
        for process in running.values()
        if marker in process.markers and (process.is_keeper or "inaetics.supervisor" in process.arguments)
    ]


def _kill(process: Process) -> None:
    try:
        os.kill(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise Conflict(f"cannot kill process {process.pid} ({process.command[:80]}): {error.strerror}") from error


def _read(entry: Path) -> Process | None:
    try:
        stat = (entry / "stat").read_text(errors="replace")
        after_name = stat[stat.rindex(")") + 2 :].split()
        if after_name[0] in "ZX":
            return None
        markers = _markers(entry)  # first: it waits for who is between two programs, and has no arguments either
        arguments = (entry / "cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    except (OSError, ValueError):
        return None  # it ended while we looked
    return Process(
        pid=int(entry.name),
        parent=int(after_name[1]),
        started=int(after_name[19]),
        arguments=tuple(arguments),
        markers=markers,
    )


def _markers(entry: Path) -> frozenset[str]:
    names = (f"{SUPERVISED}=".encode(), f"{SHELL}=".encode())
    assignments = procfs.environment(int(entry.name))  # none for another user's, so not of our hosts
    return frozenset(each.decode(errors="replace") for each in assignments if each.startswith(names))


def _monitors(process: Process, stores: tuple[str, ...]) -> bool:
    program = process.arguments[0].rsplit("/", 1)[-1]
    return program == "conmon" and any(argument.startswith(stores) for argument in process.arguments)


def _with_descendants(roots: Iterable[Process], running: dict[int, Process]) -> Iterator[Process]:
    children: dict[int, list[Process]] = {}
    for process in running.values():
        children.setdefault(process.parent, []).append(process)
    queue, seen = list(roots), set[int]()
    while queue:
        process = queue.pop()
        if process.pid not in seen:
            seen.add(process.pid)
            yield process
            queue.extend(children.get(process.pid, ()))


def _ancestors(pid: int, running: dict[int, Process]) -> Iterator[int]:
    while pid in running:
        yield pid
        pid = running[pid].parent
    yield pid
