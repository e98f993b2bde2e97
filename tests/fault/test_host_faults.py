"""Hosts are broken under a cluster that works; what may happen then, and what may not.

One cluster for all of them: each scenario leaves it healthy, or fails.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.fault.cluster import FaultCluster
from tests.fault.faults import Fault, Halted, PowerCut
from tests.fault.scenes import back_in_time, until_elsewhere, worker_of
from tests.fault.trial import Trial, trial
from tests.support.eventually import eventually

pytestmark = [pytest.mark.timeout(180), pytest.mark.usefixtures("spread")]


def test_worker_killed(cluster: FaultCluster) -> None:
    worker = worker_of(cluster)
    with trial(cluster, PowerCut(cluster, (worker,))) as seen:
        until_elsewhere(cluster, worker, within_s=15)
    seen.judge(lost={worker}, unharmed=seen.runs_besides(worker))


def test_worker_killed_and_switched_on_at_once(cluster: FaultCluster) -> None:
    """Its units are resumed in place."""

    def once() -> Trial:
        with trial(cluster, PowerCut(cluster, (worker_of(cluster),))) as seen:
            pass
        return seen

    seen = back_in_time(cluster, once)
    seen.judge(unharmed=seen.runs_besides(worker_of(cluster)))


def test_host_of_the_engines_leader_killed(cluster: FaultCluster) -> None:
    leader = cluster.engine_leader()
    cluster.store.let_lead(next(name for name in cluster.control if name != leader))
    with trial(cluster, PowerCut(cluster, (leader,))) as seen:
        until_elsewhere(cluster, leader, within_s=20)
    seen.judge(lost={leader}, unharmed=seen.runs_besides(leader))


def test_host_of_both_leaders_killed(cluster: FaultCluster) -> None:
    """The engine's and etcd's: the lease of the machine is extended by the election, and its units still move."""
    leader = cluster.engine_leader()
    cluster.store.let_lead(leader)
    with trial(cluster, PowerCut(cluster, (leader,))) as seen:
        until_elsewhere(cluster, leader, within_s=25)
    seen.judge(lost={leader}, unharmed=seen.runs_besides(leader))


@pytest.mark.parametrize("how", [Halted, lambda cluster: PowerCut(cluster, cluster.names)], ids=["halted", "power cut"])
def test_whole_cluster_restarted(cluster: FaultCluster, how: Callable[[FaultCluster], Fault]) -> None:
    """Every unit is started where it was, also on hosts that take longer to boot than a leader to be elected."""

    def alone() -> bool:
        health = cluster.ask(lambda client: client.health())
        return health.machines == len(cluster.control) and health.leader in cluster.control

    with trial(cluster, how(cluster)) as seen:
        cluster.boot(*cluster.control)
        eventually(alone, within_s=40, what="the control hosts are up, and the others known to be away")
        time.sleep(1)  # for the engine to act, if it would
    seen.settle()
    seen.judge()
