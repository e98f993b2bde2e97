"""What is measured on hosts in network namespaces of their own, as the fault tests have them: links and daemons.

Units say themselves that they live (four times a second), so what ran where and when is known to that.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.fault import validators
from tests.fault.cluster import STOPS, FaultCluster, fault_cluster
from tests.fault.faults import Killed, LinkCut
from tests.fault.scenes import KEEP, STOP, replaced, worker_of
from tests.fault.trial import trial

from bench.baselines import Figure
from bench.workload import Bench
from inaetics.hosts.system_units import API

CUT_S = 60.0
DAEMONS = {"supervisor": "a supervisor", API: "an API with its engine"}
"""Beside agents, which `fleet_ends` kills among more units."""


@contextmanager
def _hosts() -> Iterator[FaultCluster]:
    """Five hosts; five units with `OnLost=keep` and five with `OnLost=stop`, one of each on every host."""
    with tempfile.TemporaryDirectory(prefix="inaetics-bench-") as place:
        directory = Path(place)
        with fault_cluster(directory, evidence=directory / "evidence") as made:
            for unit in KEEP:
                made.submit(unit)
            made.until_healthy(within_s=30)
            for unit in STOP:
                made.submit(unit, options=STOPS)
            made.until_healthy(within_s=30)
            yield made


def link_cut(bench: Bench) -> list[Figure]:
    """The link of a worker is cut for a minute: how long its units run twice, once it is back and at all."""
    returned, never = [], []
    with _hosts() as cluster:
        for _ in bench.repeat(3):
            cluster.spread()
            with trial(cluster, LinkCut(cluster, worker_of(cluster))) as seen:
                seen.after(CUT_S if not bench.quick else 12.0)
            history = cluster.history()
            returned.append(validators.twice_s(history, since=seen.healed_at, units=KEEP))
            never.append(validators.twice_s(history, since=seen.injected_at, units=STOP))
    what = "a link cut for 60 s: units running twice"
    return [
        Figure(
            what=f"{what} after it was back, `OnLost=keep`",
            samples=returned,
            target=2.0,
            fleet="40-47 s",
            swarm="3-4 s",
        ),
        Figure(what=f"{what} at any time, `OnLost=stop`", samples=never, target=0.0),
    ]


def daemons_killed(bench: Bench) -> list[Figure]:
    """A daemon of a host is killed with -9 and started again by who looks after it: what moved, doubled or changed."""
    figures: list[Figure] = []
    with _hosts() as cluster:
        for unit, name in DAEMONS.items():
            host = cluster.control[-1] if unit == API else worker_of(cluster)
            found: dict[str, list[float]] = {"moved": [], "running twice": [], "whose process changed": []}
            for _ in bench.repeat(3):
                pid = cluster.pid(host, unit)
                with trial(cluster, Killed(cluster, host, unit)) as seen:
                    replaced(cluster, host, unit, pid)
                    seen.settle()
                history = cluster.history()
                found["moved"].append(len(validators.moved(history, since=seen.injected_at)))
                found["running twice"].append(len(validators.ran_twice(history, since=seen.injected_at)))
                found["whose process changed"].append(len(validators.restarted(history, seen.runs)))
            figures += [
                Figure(what=f"{name} killed with -9: units {how}", samples=samples, measure="", target=0.0)
                for how, samples in found.items()
            ]
    return figures
