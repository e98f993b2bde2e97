"""What it costs when nothing happens: CPU and memory of the daemons."""

from __future__ import annotations

from bench.baselines import Figure
from bench.local import KINDS, cpu_by_kind, processes, resident_mb
from bench.workload import Bench

IDLE = ((100, 1.5, "2.0 (its etcd apart)", "1.4 + shims 1.7"), (500, 2.0, "10.5", ""))
"""How many units, CPU seconds a minute to reach, the original's, Swarm's."""

_OURS = [name for name, ours in KINDS.values() if ours]


def idle(bench: Bench) -> list[Figure]:
    """CPU seconds a minute, ours of five workers together and etcd's beside."""
    figures = []
    for count, target, fleet, swarm in IDLE:
        bench.start(count)
        bench.settle()
        spans = [cpu_by_kind(bench.cluster, 20) for _ in bench.repeat(4)]
        ours = [sum(span.get(kind, 0.0) for kind in _OURS) for span in spans]
        beside = [span.get("etcd", 0.0) for span in spans]
        what = f"idle with {count} units"
        figures.append(
            Figure(
                what=f"{what}: our daemons of five workers together",
                samples=ours,
                measure="CPU s/min",
                target=target,
                fleet=fleet,
                swarm=swarm,
            )
        )
        figures.append(Figure(what=f"{what}: etcd's three members and discovery", samples=beside, measure="CPU s/min"))
        figures += [
            Figure(
                what=f"{what}: of that each {kind} (mean)",
                samples=[span.get(kind, 0.0) / len(processes(bench.cluster)[kind]) for span in spans],
                measure="CPU s/min",
            )
            for kind in _OURS
        ]
        bench.tidy()
    return figures


def memory(bench: Bench) -> list[Figure]:
    """The largest of each kind, with 500 units."""
    bench.start(500)
    bench.settle()
    return [
        Figure(
            what=f"memory of a daemon with 500 units: {kind}, the largest",
            samples=[max(map(resident_mb, pids))],
            measure="MB",
            target=60.0,
            fleet="18 MB (Go)",
            swarm="98-137 MB",
        )
        for kind, pids in sorted(processes(bench.cluster).items())
        if kind in _OURS
    ]
