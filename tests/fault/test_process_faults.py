"""Processes are killed, frozen and starved of room under a cluster that works, on one of its own.

Each scenario leaves the cluster healthy, or fails.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from inaetics.fleet import keys
from inaetics.hosts.system_units import AGENT, API, ETCD
from tests.fault.clock import boottime
from tests.fault.cluster import FaultCluster
from tests.fault.faults import All, Frozen, Killed, StoreFilled, StoreStopped
from tests.fault.history import Run
from tests.fault.scenes import KEEP, LONG, SOON_S, STOP, back_in_time, replaced, worker_of
from tests.fault.trial import Trial, trial
from tests.fault.validators import lives, restarted
from tests.support.eventually import eventually

pytestmark = [pytest.mark.timeout(180), pytest.mark.usefixtures("spread")]


def _kept(seen: Trial) -> list[Run]:
    """What ran and has `OnLost=keep`."""
    return [run for run in seen.runs if run.unit not in STOP]


@pytest.mark.parametrize("unit", [AGENT, "supervisor"])
def test_process_of_a_worker_killed(cluster: FaultCluster, unit: str) -> None:
    """Nothing moves, nothing runs twice, no process of a unit is another one.

    Units with `OnLost=stop` may be stopped where it needed longer to come back than they may be out of touch.
    """
    soon = True

    def once() -> Trial:
        nonlocal soon
        worker = worker_of(cluster)
        pid = cluster.pid(worker, unit)
        with trial(cluster, Killed(cluster, worker, unit)) as seen:
            replaced(cluster, worker, unit, pid)
            soon = boottime() - seen.injected_at < SOON_S
        return seen

    seen = back_in_time(cluster, once)
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
            replaced(cluster, *each, pid)
        seen.settle()
    seen.judge(unharmed=_kept(seen), never_twice=STOP)


def test_process_of_etcds_leader_killed(cluster: FaultCluster) -> None:
    leader = cluster.store.etcd_leader()
    pid = cluster.pid(leader, ETCD)
    with trial(cluster, Killed(cluster, leader, ETCD)) as seen:
        replaced(cluster, leader, ETCD, pid)
        seen.settle()
    seen.judge(unharmed=seen.runs)


def test_process_of_etcds_leader_frozen(cluster: FaultCluster) -> None:
    """Its connections stay open and nobody answers: whoever used it goes to another member in time.

    It does not go on: a leader of etcd 3.4 before 3.4.29 that does may end everybody's leases before it knows that it
    leads no more (https://github.com/etcd-io/etcd/issues/15247).
    """
    with trial(cluster, Frozen(cluster, cluster.store.etcd_leader(), ETCD, dies=True)) as seen:
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
    cluster.until_healthy(within_s=30)
    seen.judge(changed={doomed}, unharmed=[run for run in seen.runs if run.unit != doomed], never_twice=STOP)
    assert {each: cluster.pid(*each) for each in daemons} == daemons
    assert lines < 30, f"the engine wrote {lines} lines about what it could not do"


@pytest.mark.parametrize("cycles", [150, pytest.param(10_000, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])])
def test_units_created_and_destroyed_many_times(cluster: FaultCluster, cycles: int) -> None:
    """Whatever came and went leaves no key, no unit and no process; files that nobody names are collected later."""
    before, known = cluster.history(), set(cluster.store.keys())
    texts = [f"[Service]\nExecStart=/bin/sleep {1000 + number}\n" for number in range(10)]

    def cycle(number: int) -> None:
        name = f"cycle-{number}.service"
        cluster.ask(lambda client: client.submit(name, texts[number % len(texts)], desired="launched"))
        cluster.ask(lambda client: client.destroy(name))

    def new_keys() -> set[str]:
        return set(cluster.store.keys()) - known

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
