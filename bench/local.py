"""A local cluster to measure: its processes, its units, its API, and ends that come suddenly."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.cluster import Cluster

from inaetics.api.client import FleetClient
from inaetics.api.wire import UnitEntry
from inaetics.hosts.boot import boot
from inaetics.hosts.cluster import load
from inaetics.hosts.observe import Observation
from inaetics.hosts.paths import ClusterPaths
from inaetics.hosts.processes import power_cut

TICKS = os.sysconf("SC_CLK_TCK")
PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024

# What a process is, by what its command line holds: (name, is it ours?).
KINDS = {
    "inaetics.supervisor": ("supervisor", True),
    "inaetics.fleet.agent_main": ("fleet agent", True),
    "inaetics.api": ("API and engine", True),
    "etcd --config-file": ("etcd", False),
    "docker-registry": ("registry", False),
    "inaetics.containers.gate_main": ("registry gate", True),
}


@contextmanager
def temporary_cluster(name: str, subnet: str) -> Iterator[Cluster]:
    """A cluster that is not up yet, in a folder of its own; destroyed at the end."""
    home = Path(tempfile.mkdtemp(prefix="inaetics-bench-"))
    mine = Cluster(name=name, home=home, subnet=subnet)
    os.environ["INAETICS_HOME"] = str(home)  # what is called in this process is about the same cluster
    try:
        yield mine
    finally:
        mine.attempt("inaetics", "destroy")
        shutil.rmtree(home, ignore_errors=True)


def paths_of(mine: Cluster) -> ClusterPaths:
    return ClusterPaths(name=mine.name, state=mine.home / mine.name, run=_run_root() / mine.name)


def _run_root() -> Path:
    from inaetics.hosts.paths import run_root

    return run_root()


def client_of(mine: Cluster, *, without: str = "") -> FleetClient:
    """A client of any API but that of the host `without`, which is about to die."""
    paths = paths_of(mine)
    sockets = sorted(paths.run.glob("*/fleet.sock"))
    return FleetClient([f"unix://{socket}" for socket in sockets if socket.parent.name != without], timeout_s=30)


def cut_power(mine: Cluster, host: str) -> None:
    """Kill everything of a host at once."""
    power_cut([paths_of(mine).host(host)])


def switch_on(mine: Cluster, host: str) -> None:
    """Boot a host that is down; returns once its supervisor was started."""
    paths = paths_of(mine)
    found = next(each for each in load(paths).hosts if each.name == host)
    boot(paths.host(host), Observation(host=found, processes=False, units=None))


def processes(mine: Cluster) -> dict[str, dict[int, str]]:
    """The daemons of the cluster by kind: pid → host."""
    found: dict[str, dict[int, str]] = defaultdict(dict)
    for pid, command, host in _marked(mine):
        kind = next((name for part, (name, _) in KINDS.items() if part in command), None)
        if kind and not command.startswith("sh "):
            found[kind][pid] = host
    return found


def unit_processes(mine: Cluster, command: str) -> dict[int, str]:
    """Processes of units that run exactly `command`: pid → host."""
    return {pid: host for pid, line, host in _marked(mine) if line == command}


def _marked(mine: Cluster) -> Iterator[tuple[int, str, str]]:
    mark = f"INAETICS_SUPERVISED={mine.home}/{mine.name}:".encode()
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            environ = Path(f"/proc/{name}/environ").read_bytes()
            at = environ.find(mark)
            if at >= 0:
                line = Path(f"/proc/{name}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                host = environ[at + len(mark) :].split(b"\0", 1)[0].decode()
                yield int(name), line.strip(), host
        except OSError:
            continue


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_KB / 1024


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def run_s(pid: int) -> float:
    """Seconds that a process of one thread has run: finer than `cpu_s`, which counts in ticks."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def cpu_by_kind(mine: Cluster, during_s: float) -> dict[str, float]:
    """CPU seconds a minute by kind of daemon, over `during_s`."""
    kinds = processes(mine)
    before = {pid: cpu_s(pid) for pids in kinds.values() for pid in pids}
    time.sleep(during_s)
    return {kind: sum(cpu_s(pid) - before[pid] for pid in pids) * 60 / during_s for kind, pids in kinds.items()}


def wait_for_units(
    client: FleetClient, check: Callable[[dict[str, UnitEntry]], bool], *, within_s: float, what: str
) -> float:
    """Wait until `check` holds of all units; returns when (monotonic). Raises TimeoutError that names `what`."""
    end = time.monotonic() + within_s
    entries: dict[str, UnitEntry] = {}
    revision: int | None = None
    while time.monotonic() < end:
        told = client.changes(after=revision, wait_s=1.0)
        if told.complete:
            entries.clear()
        for name in told.names:
            entries.pop(name, None)
        entries |= {unit.name: unit for unit in told.units}
        revision = told.revision
        if check(entries):
            return time.monotonic()
    missing = [f"{unit.name} {unit.active} {unit.reason}" for unit in entries.values() if unit.active != "active"]
    raise TimeoutError(f"not within {within_s:g} s: {what}; not active: {missing[:5]}")
