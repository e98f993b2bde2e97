"""Hosts, links and processes are broken under a cluster that works; what may happen then, and what may not.

One cluster for all of them: each scenario leaves it healthy, or fails.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from inaetics.hosts.host_files import AGENT, API, ETCD
from tests.fault.cluster import FaultCluster
from tests.fault.faults import All, Fault, Frozen, Halted, Killed, LinkCut, OneWay, PowerCut, StoreStopped
from tests.fault.trial import trial
from tests.support.eventually import eventually

pytestmark = pytest.mark.timeout(180)

KEEP = tuple(f"keep-{number}.service" for number in range(1, 9))
EVERYWHERE = "everywhere.service"

SHORT, LONG = 12.0, 60.0
"""Seconds a link is cut: long enough for leases to end and replacements to start."""

LASTING = [pytest.param(SHORT, id="short"), pytest.param(LONG, id="minute", marks=pytest.mark.soak)]


@pytest.fixture(scope="module", autouse=True)
def units(module_cluster: FaultCluster) -> None:
    for unit in KEEP:
        module_cluster.submit(unit)
    module_cluster.submit(EVERYWHERE, options=["Global=true"])
    module_cluster.until_healthy(within_s=30)


@pytest.fixture(autouse=True)
def spread(cluster: FaultCluster, units: None) -> None:
    cluster.spread()


def _worker(cluster: FaultCluster) -> str:
    """A host that holds no part of the control plane."""
    return next(name for name in cluster.names if name not in cluster.control)


def _until_elsewhere(cluster: FaultCluster, *lost: str, within_s: float) -> None:
    """Wait until nothing is placed on the lost hosts any more, as those see it that are left."""

    def elsewhere() -> bool:
        return not set(lost) & set(cluster.where(besides=lost).values())

    eventually(elsewhere, within_s=within_s, what=f"the units of {', '.join(lost)} are placed elsewhere")


def _replaced(cluster: FaultCluster, host: str, unit: str, pid: int) -> None:
    eventually(lambda: cluster.pid(host, unit) != pid, within_s=20, what=f"{unit} on {host} runs again")


# Links.


@pytest.mark.parametrize("lasting_s", LASTING)
def test_link_of_a_worker_cut(cluster: FaultCluster, lasting_s: float) -> None:
    """Its units go on, and start elsewhere; back again, the extra copies are stopped soon."""
    worker = _worker(cluster)
    with trial(cluster, LinkCut(cluster, worker)) as seen:
        _until_elsewhere(cluster, worker, within_s=lasting_s)
        seen.after(lasting_s)
    seen.judge(
        lost={worker},
        unharmed=seen.runs_besides(worker),
        twice_s=2.0,
        twice_since=seen.healed_at,
        excused={worker: seen.healed_at},
    )


@pytest.mark.parametrize("lasting_s", LASTING)
@pytest.mark.parametrize("direction", ["mute", pytest.param("deaf", marks=pytest.mark.soak)])
def test_link_of_a_worker_carries_one_direction_only(cluster: FaultCluster, direction: str, lasting_s: float) -> None:
    """A host that is not heard, or does not hear, is lost as one that is cut off, and returns as one."""
    worker = _worker(cluster)
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
        excused={worker: seen.healed_at},
    )


def test_history_compacted_while_a_control_host_was_cut_off(cluster: FaultCluster) -> None:
    """Its watches cannot resume: whoever watches there lists again, and misses nothing that happened meanwhile."""
    cut = next(name for name in cluster.control if name != cluster.engine_leader())
    cluster.let_lead(cluster.engine_leader())
    doomed = next(unit for unit, host in cluster.where().items() if host == cut)
    with trial(cluster, LinkCut(cluster, cut)) as seen:
        _until_elsewhere(cluster, cut, within_s=15)
        cluster.destroy(doomed, besides={cut})
        cluster.etcdctl("compact", str(cluster.revision()))
    cluster.submit(doomed)
    cluster.until_healthy(within_s=15)
    seen.judge(
        lost={cut, *(run.host for run in cluster.history().runs if run.unit == doomed)},
        unharmed=seen.runs_besides(cut),
        twice_s=2.0,
        twice_since=seen.healed_at,
        excused={cut: seen.healed_at},
    )


# Hosts.


def test_worker_killed(cluster: FaultCluster) -> None:
    worker = _worker(cluster)
    with trial(cluster, PowerCut(cluster, (worker,))) as seen:
        _until_elsewhere(cluster, worker, within_s=15)
    seen.judge(lost={worker}, unharmed=seen.runs_besides(worker))


def test_worker_killed_and_switched_on_at_once(cluster: FaultCluster) -> None:
    """Its units are resumed in place."""
    worker = _worker(cluster)
    with trial(cluster, PowerCut(cluster, (worker,))) as seen:
        pass
    seen.settle()
    seen.judge(unharmed=seen.runs_besides(worker))


def test_host_of_the_engines_leader_killed(cluster: FaultCluster) -> None:
    leader = cluster.engine_leader()
    cluster.let_lead(next(name for name in cluster.control if name != leader))
    with trial(cluster, PowerCut(cluster, (leader,))) as seen:
        _until_elsewhere(cluster, leader, within_s=20)
    seen.judge(lost={leader}, unharmed=seen.runs_besides(leader))


def test_host_of_both_leaders_killed(cluster: FaultCluster) -> None:
    """The engine's and etcd's: the lease of the machine is extended by the election, and its units still move."""
    leader = cluster.engine_leader()
    cluster.let_lead(leader)
    with trial(cluster, PowerCut(cluster, (leader,))) as seen:
        _until_elsewhere(cluster, leader, within_s=25)
    seen.judge(lost={leader}, unharmed=seen.runs_besides(leader))


@pytest.mark.parametrize("how", [Halted, lambda cluster: PowerCut(cluster, cluster.names)], ids=["halted", "power cut"])
def test_whole_cluster_restarted(cluster: FaultCluster, how: Callable[[FaultCluster], Fault]) -> None:
    """Every unit is started where it was."""
    with trial(cluster, how(cluster)) as seen:
        pass
    seen.settle()
    seen.judge()


# Processes.


@pytest.mark.parametrize("unit", [AGENT, "supervisor"])
def test_process_of_a_worker_killed(cluster: FaultCluster, unit: str) -> None:
    """Nothing moves, nothing runs twice, no process of a unit is another one."""
    worker = _worker(cluster)
    pid = cluster.pid(worker, unit)
    with trial(cluster, Killed(cluster, worker, unit)) as seen:
        _replaced(cluster, worker, unit, pid)
        seen.settle()
    seen.judge(unharmed=seen.runs)


def test_every_supervisor_agent_and_engine_killed(cluster: FaultCluster) -> None:
    """All that runs units or decides about them dies at once, and comes back over what runs."""
    every = [(name, API) for name in cluster.control]
    every += [(name, unit) for unit in (AGENT, "supervisor") for name in cluster.names]
    pids = {each: cluster.pid(*each) for each in every}
    with trial(cluster, All(tuple(Killed(cluster, *each) for each in every))) as seen:
        for each, pid in pids.items():
            _replaced(cluster, *each, pid)
        seen.settle()
    seen.judge(unharmed=seen.runs)


def test_process_of_etcds_leader_killed(cluster: FaultCluster) -> None:
    leader = cluster.etcd_leader()
    pid = cluster.pid(leader, ETCD)
    with trial(cluster, Killed(cluster, leader, ETCD)) as seen:
        _replaced(cluster, leader, ETCD, pid)
        seen.settle()
    seen.judge(unharmed=seen.runs)


def test_process_of_etcds_leader_frozen(cluster: FaultCluster) -> None:
    """Its connections stay open and nobody answers: whoever used it goes to another member in time."""
    with trial(cluster, Frozen(cluster, cluster.etcd_leader(), ETCD)) as seen:
        seen.settle()
    seen.judge(unharmed=seen.runs)


@pytest.mark.parametrize(
    "lasting_s", [pytest.param(8.0, id="short"), pytest.param(LONG, id="minute", marks=pytest.mark.soak)]
)
def test_all_members_of_the_store_stopped(cluster: FaultCluster, lasting_s: float) -> None:
    """While nobody can decide anything, everything goes on as it is; so it does when the store is back."""
    with trial(cluster, StoreStopped(cluster)) as seen:
        seen.after(lasting_s)
    seen.settle()
    seen.judge(unharmed=seen.runs)
