"""Hosts, links and processes are broken under a cluster that works; what may happen then, and what may not.

One cluster for all of them: each scenario leaves it healthy, or fails.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from inaetics.fleet import keys
from inaetics.hosts.host_files import AGENT, API, ETCD
from tests.fault.clock import boottime
from tests.fault.cluster import GLOBAL, STOPS, FaultCluster
from tests.fault.faults import All, Fault, Frozen, Halted, Killed, LinkCut, OneWay, PowerCut, StoreFilled, StoreStopped
from tests.fault.history import Run
from tests.fault.trial import Trial, trial
from tests.fault.validators import lives, restarted
from tests.support.eventually import eventually

pytestmark = pytest.mark.timeout(180)

KEEP = tuple(f"keep-{number}.service" for number in range(1, 6))
STOP = tuple(f"stop-{number}.service" for number in range(1, 6))
EVERYWHERE = "everywhere.service"

SHORT, LONG = 12.0, 60.0
"""Seconds a link is cut: long enough for leases to end and replacements to start."""

SOON_S = 2.0
"""Units with `OnLost=stop` and a stop timeout of 1 s may be out of touch for 2.6 s."""

LASTING = [pytest.param(SHORT, id="short"), pytest.param(LONG, id="minute", marks=pytest.mark.soak)]


@pytest.fixture(scope="module", autouse=True)
def units(module_cluster: FaultCluster) -> None:
    for unit in KEEP:
        module_cluster.submit(unit)
    module_cluster.until_healthy(within_s=30)
    for unit in STOP:
        module_cluster.submit(unit, options=STOPS)
    module_cluster.submit(EVERYWHERE, options=GLOBAL)
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


def _kept(seen: Trial) -> list[Run]:
    """What ran and has `OnLost=keep`."""
    return [run for run in seen.runs if run.unit not in STOP]


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
        never_twice=STOP,
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
        never_twice=STOP,
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
    worker = _worker(cluster)
    with trial(cluster, PowerCut(cluster, (worker,))) as seen:
        _until_elsewhere(cluster, worker, within_s=15)
    seen.judge(lost={worker}, unharmed=seen.runs_besides(worker))


def test_worker_killed_and_switched_on_at_once(cluster: FaultCluster) -> None:
    """Its units are resumed in place. That is promised where it has booted before its lease ends: else, once more."""
    for _ in range(3):
        cluster.spread()
        worker = _worker(cluster)
        with trial(cluster, PowerCut(cluster, (worker,))) as seen:
            pass
        seen.settle()
        if not seen.losses():
            break
    else:
        pytest.fail("a host needs longer to boot here than a lease lasts, three times: this tells nothing")
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


# Processes.


@pytest.mark.parametrize("unit", [AGENT, "supervisor"])
def test_process_of_a_worker_killed(cluster: FaultCluster, unit: str) -> None:
    """Nothing moves, nothing runs twice, no process of a unit is another one.

    Units with `OnLost=stop` may be stopped where it needed longer to come back than they may be out of touch.
    """
    worker = _worker(cluster)
    pid = cluster.pid(worker, unit)
    with trial(cluster, Killed(cluster, worker, unit)) as seen:
        _replaced(cluster, worker, unit, pid)
        soon = boottime() - seen.injected_at < SOON_S
        seen.settle()
    seen.judge(unharmed=seen.runs if soon else _kept(seen), never_twice=STOP)


def test_every_supervisor_agent_and_engine_killed(cluster: FaultCluster) -> None:
    """All that runs units or decides about them dies at once, and comes back over what runs.

    It takes about as long as a machine may be out of touch, so units with `OnLost=stop` may be stopped, or not.
    """
    every = [(name, API) for name in cluster.control]
    every += [(name, unit) for unit in (AGENT, "supervisor") for name in cluster.names]
    pids = {each: cluster.pid(*each) for each in every}
    with trial(cluster, All(tuple(Killed(cluster, *each) for each in every))) as seen:
        for each, pid in pids.items():
            _replaced(cluster, *each, pid)
        seen.settle()
    seen.judge(unharmed=_kept(seen), never_twice=STOP)


def test_process_of_etcds_leader_killed(cluster: FaultCluster) -> None:
    leader = cluster.etcd_leader()
    pid = cluster.pid(leader, ETCD)
    with trial(cluster, Killed(cluster, leader, ETCD)) as seen:
        _replaced(cluster, leader, ETCD, pid)
        seen.settle()
    seen.judge(unharmed=seen.runs)


def test_process_of_etcds_leader_frozen(cluster: FaultCluster) -> None:
    """Its connections stay open and nobody answers: whoever used it goes to another member in time.

    It does not go on: a leader of etcd 3.4 before 3.4.29 that does may end everybody's leases before it knows that it
    leads no more (https://github.com/etcd-io/etcd/issues/15247).
    """
    with trial(cluster, Frozen(cluster, cluster.etcd_leader(), ETCD, dies=True)) as seen:
        seen.settle()
    seen.judge(unharmed=seen.runs)


@pytest.mark.parametrize(
    "lasting_s", [pytest.param(8.0, id="short"), pytest.param(LONG, id="minute", marks=pytest.mark.soak)]
)
def test_all_members_of_the_store_stopped(cluster: FaultCluster, lasting_s: float) -> None:
    """While nobody can decide anything, everything goes on as it is; so it does when the store is back.

    Units with `OnLost=stop` are stopped, and start again where they were.
    """
    with trial(cluster, StoreStopped(cluster)) as seen:
        seen.after(lasting_s)
    seen.settle()
    seen.judge(unharmed=_kept(seen), never_twice=STOP)


# The store's room.


def test_store_without_room(cluster: FaultCluster) -> None:
    """What runs goes on; what is asked is refused with the way out; nothing ends over it; room made, all is well."""
    daemons = {(name, unit): cluster.pid(name, unit) for name in cluster.names for unit in cluster.system_units(name)}
    leader, doomed = cluster.engine_leader(), KEEP[0]
    with trial(cluster, StoreFilled(cluster)) as seen:
        with pytest.raises(OSError, match=r"the store is full.*inaetics etcd defragment"):
            cluster.submit("refused.service")
        cluster.ask(lambda client: client.destroy(doomed))  # deletes a key; the engine cannot write what follows
        cluster.wanted.pop(doomed)
        lines = cluster.lines_of(leader, API)
        seen.settle()
        lines = cluster.lines_of(leader, API) - lines
    cluster.until_gone(doomed)
    cluster.submit(doomed)
    cluster.until_healthy(within_s=15)
    seen.judge(changed={doomed}, unharmed=[run for run in seen.runs if run.unit != doomed], never_twice=STOP)
    assert {each: cluster.pid(*each) for each in daemons} == daemons
    assert lines < 30, f"the engine wrote {lines} lines about what it could not do"


@pytest.mark.parametrize("cycles", [150, pytest.param(10_000, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])])
def test_units_created_and_destroyed_many_times(cluster: FaultCluster, cycles: int) -> None:
    """Whatever came and went leaves no key, no unit and no process; files that nobody names are collected later."""
    before, known = cluster.history(), set(cluster.keys())
    texts = [f"[Service]\nExecStart=/bin/sleep {1000 + number}\n" for number in range(10)]

    def cycle(number: int) -> None:
        name = f"cycle-{number}.service"
        cluster.ask(lambda client: client.submit(name, texts[number % len(texts)], desired="launched"))
        cluster.ask(lambda client: client.destroy(name))

    def new_keys() -> set[str]:
        return set(cluster.keys()) - known

    def only_files() -> bool:
        others = {key for key in new_keys() if not key.startswith(keys.FILES)}
        assert not others, f"{len(others)} keys are left: {sorted(others)[:5]}"
        return True

    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(cycle, range(cycles)):
            pass
    eventually(only_files, within_s=30, what="no unit, placement or state is left")
    assert len(new_keys()) <= len(texts)
    for name in cluster.names:
        assert not [unit for unit in cluster.units_of(name) if unit.startswith("cycle-")]
    lived = [run for run in before.runs if lives(run, before.until)]
    assert restarted(cluster.history(), lived) == []
