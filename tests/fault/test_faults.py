"""Hosts and links are broken under a cluster that works; what may happen then, and what may not.

One cluster for all of them: each scenario leaves it healthy, or fails.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.fault.cluster import FaultCluster
from tests.fault.faults import Fault, Halted, LinkCut, OneWay, PowerCut
from tests.fault.scenes import LONG, STOP, back_in_time, worker_of
from tests.fault.trial import Trial, trial
from tests.support.eventually import eventually

pytestmark = [pytest.mark.timeout(180), pytest.mark.usefixtures("spread")]

SHORT = 12.0
"""Seconds a link is cut: long enough for leases to end and replacements to start."""

LASTING = [pytest.param(SHORT, id="short"), pytest.param(LONG, id="minute", marks=pytest.mark.soak)]


def _until_elsewhere(cluster: FaultCluster, *lost: str, within_s: float) -> None:
    """Wait until nothing is placed on the lost hosts any more, as those see it that are left."""

    def elsewhere() -> bool:
        return not set(lost) & set(cluster.where(besides=lost).values())

    eventually(elsewhere, within_s=within_s, what=f"the units of {', '.join(lost)} are placed elsewhere")


# Links.


@pytest.mark.parametrize("lasting_s", LASTING)
def test_link_of_a_worker_cut(cluster: FaultCluster, lasting_s: float) -> None:
    """Its units go on, and start elsewhere; back again, the extra copies are stopped soon."""
    worker = worker_of(cluster)
    with trial(cluster, LinkCut(cluster, worker)) as seen:
        _until_elsewhere(cluster, worker, within_s=lasting_s)
        seen.after(lasting_s)
    seen.judge(
        lost={worker},
        unharmed=seen.runs_besides(worker),
        twice_s=2.0,
        twice_since=seen.healed_at,
        never_twice=STOP,
        excused={worker: seen.healed_at},
    )


@pytest.mark.parametrize("lasting_s", LASTING)
@pytest.mark.parametrize("direction", ["mute", pytest.param("deaf", marks=pytest.mark.soak)])
def test_link_of_a_worker_carries_one_direction_only(cluster: FaultCluster, direction: str, lasting_s: float) -> None:
    """A host that is not heard, or does not hear, is lost as one that is cut off, and returns as one."""
    worker = worker_of(cluster)
    others = [name for name in cluster.names if name != worker]
    ends = ([worker], others) if direction == "mute" else (others, [worker])
    with trial(cluster, OneWay(cluster, *ends)) as seen:
        _until_elsewhere(cluster, worker, within_s=lasting_s + 5)
        seen.after(lasting_s)
    seen.judge(
        lost={worker},
        unharmed=seen.runs_besides(worker),
        twice_s=2.0,
        twice_since=seen.healed_at,
        never_twice=STOP,
        excused={worker: seen.healed_at},
    )


def test_history_compacted_while_a_control_host_was_cut_off(cluster: FaultCluster) -> None:
    """Its watches cannot resume: whoever watches there lists again, and misses nothing that happened meanwhile."""
    cut = next(name for name in cluster.control if name != cluster.engine_leader())
    cluster.store.let_lead(cluster.engine_leader())
    doomed = next(unit for unit, host in cluster.where().items() if host == cut)
    with trial(cluster, LinkCut(cluster, cut)) as seen:
        _until_elsewhere(cluster, cut, within_s=15)
        cluster.destroy(doomed, besides={cut})
        cluster.store.etcdctl("compact", str(cluster.store.revision()))
    cluster.submit(doomed)
    cluster.until_healthy(within_s=15)
    seen.judge(
        lost={cut},
        changed={doomed},
        unharmed=[run for run in seen.runs_besides(cut) if run.unit != doomed],
        twice_s=2.0,
        twice_since=seen.healed_at,
        never_twice=STOP,
        excused={cut: seen.healed_at},
    )


# Hosts.


def test_worker_killed(cluster: FaultCluster) -> None:
    worker = worker_of(cluster)
    with trial(cluster, PowerCut(cluster, (worker,))) as seen:
        _until_elsewhere(cluster, worker, within_s=15)
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
        _until_elsewhere(cluster, leader, within_s=20)
    seen.judge(lost={leader}, unharmed=seen.runs_besides(leader))


def test_host_of_both_leaders_killed(cluster: FaultCluster) -> None:
    """The engine's and etcd's: the lease of the machine is extended by the election, and its units still move."""
    leader = cluster.engine_leader()
    cluster.store.let_lead(leader)
    with trial(cluster, PowerCut(cluster, (leader,))) as seen:
        _until_elsewhere(cluster, leader, within_s=25)
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
