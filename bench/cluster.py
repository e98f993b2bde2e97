"""What a whole cluster costs on this machine: time to come up, time of commands, memory and idle CPU of its daemons.

Run it with `make bench`, or `python -m bench.cluster`, on a machine that does nothing else. Needs the images (built on
the first run, cached afterwards). Prints a Markdown table; `bench/README.md` keeps a run with the machine.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.cluster import Cluster

from bench.local import KINDS, PAGE_KB, TICKS
from bench.machine import describe, table

IDLE_S = 60


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A cluster of five workers in a folder of its own, destroyed at the end."""
    home = Path(tempfile.mkdtemp(prefix="inaetics-bench-"))
    mine = Cluster(name=f"bench-{os.getpid()}", home=home, subnet="127.29.8")
    try:
        yield mine
    finally:
        mine.run("inaetics", "destroy")
        shutil.rmtree(home)


def timed(mine: Cluster, *command: str) -> float:
    begin = time.monotonic()
    mine.run(*command, timeout_s=900)
    return time.monotonic() - begin


def median_of(mine: Cluster, *command: str, runs: int = 7) -> str:
    times = sorted(timed(mine, *command) for _ in range(runs))
    return f"{statistics.median(times):.2f} s ({times[0]:.2f}-{times[-1]:.2f})"


def processes(mine: Cluster) -> dict[str, list[int]]:
    """Pids of this cluster's daemons by kind."""
    mark = f"INAETICS_SUPERVISED={mine.home}".encode()
    found: dict[str, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environ, command = (entry / "environ").read_bytes(), (entry / "cmdline").read_bytes()
        except OSError:
            continue
        text = command.replace(b"\0", b" ").decode(errors="replace")
        kind = next((name for part, (name, _) in KINDS.items() if part in text and not text.startswith("sh ")), None)
        if mark in environ and kind:
            found[kind].append(int(entry.name))
    return found


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_KB / 1024


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def idle_cpu(mine: Cluster) -> dict[str, float]:
    """CPU seconds a minute by kind."""
    kinds = processes(mine)
    before = {pid: cpu_s(pid) for pids in kinds.values() for pid in pids}
    time.sleep(IDLE_S)
    return {kind: sum(cpu_s(pid) - before[pid] for pid in pids) * 60 / IDLE_S for kind, pids in kinds.items()}


def main() -> None:
    """Measure and print."""
    print(describe())
    rows: list[tuple[str, str, str]] = []
    with cluster() as mine:
        up = ("inaetics", "up", "--subnet", mine.subnet)
        rows.append(("first `inaetics up`, to five machines listed", f"{timed(mine, *up):.1f} s", "6 s"))
        rows.append(("`inaetics halt`", f"{timed(mine, 'inaetics', 'halt'):.1f} s", ""))
        rows.append(("`inaetics up` again", f"{timed(mine, *up):.1f} s", "6 s"))
        time.sleep(5)  # let start-up settle before calling it idle
        usage = idle_cpu(mine)
        ours = sum(seconds for kind, seconds in usage.items() if dict(KINDS.values())[kind])
        rows.append(("idle: our daemons together, share of one core", f"{ours / 60:.1%}", "3 %"))
        rows.append(("idle: etcd's three members and discovery", f"{usage['etcd'] / 60:.1%}", ""))
        memory = {kind: max(resident_mb(pid) for pid in pids) for kind, pids in processes(mine).items()}
        pair = memory["supervisor"] + memory["fleet agent"]
        rows.append(("a worker's supervisor and agent, largest RSS", f"{pair:.0f} MB", "90 MB"))
        rows.append(("the API and engine, largest RSS", f"{memory['API and engine']:.0f} MB", "70 MB"))
        demo = ("inaetics", "demo", "--subnet", mine.subnet)
        rows.append(("`inaetics demo` on running hosts that have no images yet", f"{timed(mine, *demo):.1f} s", ""))
        rows.append(("`inaetics demo`, all there", median_of(mine, *demo, runs=3), "20 s"))
        rows.append(("`fleetctl list-units`", median_of(mine, "fleetctl", "list-units"), "0.4 s"))
        rows.append(("`fleetctl --help`", median_of(mine, "fleetctl", "--help"), ""))
        rows.append(("one unit, from command to running", one_unit(mine), ""))
    print(table(("what", "measured", "budget"), rows))


def one_unit(mine: Cluster) -> str:
    """`fleetctl start` of a plain unit, which returns once the unit is active."""
    unit = mine.home / "bench@.service"
    unit.write_text("[Service]\nExecStart=/bin/sleep 1000\n")
    times = []
    for number in range(5):
        times.append(timed(mine, "fleetctl", "start", str(unit.with_name(f"bench@{number}.service"))))
    mine.run("fleetctl", "destroy", "bench@*.service")
    return f"{statistics.median(times):.2f} s ({min(times):.2f}-{max(times):.2f})"


if __name__ == "__main__":
    try:
        main()
    except subprocess.TimeoutExpired as late:
        raise SystemExit(f"gave up: {late}") from late
