"""The fleet's speed, on a real local cluster of five workers with plain processes as units.

    python -m bench.fleet [--only start,failover,idle,…] [--quick] [--save] [--cluster NAME] [--subnet A.B.C]

Needs no images and no container engine, only etcd, and root for hosts in network namespaces. Some twenty minutes on two
cores; run it on a machine that does nothing else. Prints a Markdown table beside what the original fleet and Docker
Swarm took on such a machine, fails when a target is missed or something became worse than the stored baseline, and
leaves nothing behind.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable

from bench.baselines import Figure, finish
from bench.fleet_ends import agent_killed, failover, resumed
from bench.fleet_faults import daemons_killed, link_cut
from bench.fleet_idle import idle, memory
from bench.fleet_starts import commands, many, new_machine, one_unit, processor_time, writes
from bench.local import temporary_cluster
from bench.workload import Bench

PARTS: dict[str, Callable[[Bench], list[Figure]]] = {
    "one": one_unit,
    "writes": writes,
    "start": many,
    "cpu": processor_time,
    "failover": failover,
    "resume": resumed,
    "agent": agent_killed,
    "daemons": daemons_killed,
    "link": link_cut,
    "idle": idle,
    "memory": memory,
    "machine": new_machine,
    "commands": commands,
}


def main() -> int:
    """Measure and print; returns 1 when something became worse."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(PARTS), help=f"parts, of {','.join(PARTS)}")
    parser.add_argument("--quick", action="store_true", help="few repetitions: to see whether it works")
    parser.add_argument("--save", action="store_true", help="make the figures this machine's baseline")
    parser.add_argument("--cluster", default=f"bench-fleet-{os.getpid()}")
    parser.add_argument("--subnet", default="127.29.9")
    given = parser.parse_args()
    wanted = given.only.split(",")
    if unknown := set(wanted) - PARTS.keys():
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    figures: list[Figure] = []
    with temporary_cluster(given.cluster, given.subnet) as mine:
        mine.run("inaetics", "up", "--subnet", mine.subnet)
        bench = Bench(cluster=mine, quick=given.quick)
        for name in wanted:
            print(f"measuring: {name}", file=sys.stderr)
            figures += PARTS[name](bench)
            bench.tidy()
    return finish("fleet", figures, keep=given.save)


if __name__ == "__main__":
    sys.exit(main())
