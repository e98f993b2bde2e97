"""What keeping registries equal costs: until a push is on all, idle, and what the gate adds to a pull.

    python -m bench.registry [--idle SECONDS]

Four registries with their gates, as a cluster of a bootstrap host and three control hosts has them, with certificates
and in directories of their own. Idle figures are CPU seconds a minute, read from the kernel.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.support.eventually import eventually
from tests.support.gates import GatedRegistry, digest_of, gates

from bench.machine import describe, table
from inaetics.containers.replicate_files import RegistryFiles
from inaetics.containers.replicate_http import Endpoint, Own

COUNT, RUNS = 4, 5
SIZES_MB = (1, 40)
BUDGET_CPU_S, BUDGET_MB = 0.02, 25.0
PIECE = 256 * 1024
TICKS = os.sysconf("SC_CLK_TCK")


def until_everywhere(registries: Sequence[GatedRegistry], size_mb: int) -> tuple[float, float]:
    """Seconds of a push to the first, and from its end until all have it, medians of several."""
    pushes, copies = [], []
    for run in range(RUNS):
        began = time.monotonic()
        digest = registries[0].push("bench/image", f"{size_mb}-{run}", os.urandom(size_mb * 1_000_000))
        pushed = time.monotonic()
        for each in registries[1:]:
            eventually(_has(each, f"{size_mb}-{run}", digest), within_s=120, what=f"{each.name} has the image")
        pushes.append(pushed - began)
        copies.append(time.monotonic() - pushed)
    return statistics.median(pushes), statistics.median(copies)


def _has(registry: GatedRegistry, tag: str, digest: str) -> Callable[[], bool]:
    return lambda: registry.meaning("bench/image", tag) == digest


def _acquainted(registries: Sequence[GatedRegistry]) -> bool:
    """Whether every gate follows every other."""
    return all(peer["answers"] for each in registries for peer in each.state()["peers"])


def pull_cost(registry: GatedRegistry, digest: str, size_mb: int) -> float:
    """CPU seconds of the gate for 100 MB that pass through it."""
    assert registry.gate is not None
    before = cpu_s(registry.gate.pid)
    pull_rate(registry.client(), digest)
    return (cpu_s(registry.gate.pid) - before) / RUNS / size_mb * 100


def pull_rate(endpoint: Endpoint, digest: str) -> float:
    """MB a second of one blob over one connection."""
    rates = []
    for _ in range(RUNS):
        began, count = time.monotonic(), 0
        with endpoint.asked("GET", f"/v2/bench/pull/blobs/{digest}") as answer:
            while piece := answer.read(PIECE):
                count += len(piece)
        rates.append(count / 1e6 / (time.monotonic() - began))
    return statistics.median(rates)


def cpu_s(pid: int) -> float:
    """CPU seconds a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_mb(pid: int) -> tuple[float, float]:
    """Resident MB of a process, and its share of them when shared pages are divided."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    found = {line.split(":")[0]: int(line.split()[1]) for line in lines[1:] if line.startswith(("Rss:", "Pss:"))}
    return found["Rss"] / 1024, found["Pss"] / 1024


def idle(registries: Sequence[GatedRegistry], seconds: float) -> list[tuple[str, ...]]:
    """Rows of the table: CPU and memory of gates and registries that have nothing to do."""
    kinds = {
        "gate and replicator": [each.gate.pid for each in registries if each.gate],
        "docker-registry": [each.registry_pid for each in registries],
    }
    before = {pid: cpu_s(pid) for pids in kinds.values() for pid in pids}
    time.sleep(seconds)
    rows: list[tuple[str, ...]] = []
    for kind, pids in kinds.items():
        used = statistics.mean(cpu_s(pid) - before[pid] for pid in pids) * 60 / seconds
        resident, share = (statistics.mean(each) for each in zip(*map(memory_mb, pids), strict=True))
        rows.append((kind, f"{used:.3f}", f"{resident:.1f}", f"{share:.1f}"))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="What keeping registries equal costs.")
    parser.add_argument("--idle", type=float, default=120.0, metavar="SECONDS", help="how long to watch them idle")
    asked = parser.parse_args()
    print(describe())
    with gates(COUNT) as registries:
        eventually(lambda: _acquainted(registries), within_s=60, what="all follow all")
        rest = idle(registries, asked.idle)
        rows = [(f"{size} MB", *until_everywhere(registries, size)) for size in SIZES_MB]
        content = os.urandom(100_000_000)
        registries[0].push("bench/pull", "latest", content)
        digest = digest_of(content)
        through = pull_rate(registries[0].client(), digest)
        behind = pull_rate(Own(registries[0].socket, RegistryFiles(registries[0].data)), digest)
        cost = pull_cost(registries[0], digest, 100)
        after = idle(registries, 10.0)
    print(f"\nuntil a push is on {COUNT} registries (medians of {RUNS})")
    print(table(("image", "push s", "then copied s"), [(name, f"{a:.2f}", f"{b:.2f}") for name, a, b in rows]))
    print("\none pull of 100 MB (medians)")
    print(table(("", "MB/s"), [("through the gate, TLS", f"{through:.0f}"), ("registry's socket", f"{behind:.0f}")]))
    print(f"\nthe gate's CPU for a pull of 100 MB: {cost:.2f} s")
    print(f"\nidle, a process (budget of a gate: {BUDGET_CPU_S} CPU s/min, {BUDGET_MB:.0f} MB)")
    print(table(("", "CPU s/min", "MB resident", "MB its share"), rest))
    print("\nidle after all this")
    print(table(("", "CPU s/min", "MB resident", "MB its share"), after))


if __name__ == "__main__":
    main()
