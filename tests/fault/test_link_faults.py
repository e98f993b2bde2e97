"""Links are broken under a cluster that works; what may happen then, and what may not.

One cluster for all of them: each scenario leaves it healthy, or fails.
"""

from __future__ import annotations

from collections.abc import Collection

import pytest

from tests.fault.cluster import FaultCluster
from tests.fault.faults import All, LinkCut, OneWay
from tests.fault.scenes import LONG, STOP, until_elsewhere, worker_of
from tests.fault.trial import Trial, trial

pytestmark = [pytest.mark.timeout(180), pytest.mark.usefixtures("spread")]

SHORT = 12.0
"""Seconds a link is cut: long enough for leases to end and replacements to start."""

LASTING = [pytest.param(SHORT, id="short"), pytest.param(LONG, id="minute", marks=pytest.mark.soak)]


def judge_cut_off(seen: Trial, *hosts: str, changed: Collection[str] = ()) -> None:
    """The hosts were lost, and nothing elsewhere was touched; back again, they give up in 2 s what runs elsewhere."""
    seen.judge(
        lost=hosts,
        changed=changed,
        unharmed=[run for run in seen.runs_besides(*hosts) if run.unit not in changed],
        twice_s=2.0,
        twice_since=seen.healed_at,
        never_twice=STOP,
        excused=dict.fromkeys(hosts, seen.healed_at),
    )


@pytest.mark.parametrize("lasting_s", LASTING)
def test_link_of_a_worker_cut(cluster: FaultCluster, lasting_s: float) -> None:
    """Its units go on, and start elsewhere; back again, the extra copies are stopped soon."""
    worker = worker_of(cluster)
    with trial(cluster, LinkCut(cluster, worker)) as seen:
        until_elsewhere(cluster, worker, within_s=lasting_s)
        seen.after(lasting_s)
    judge_cut_off(seen, worker)


@pytest.mark.parametrize("lasting_s", LASTING)
def test_links_of_workers_carry_one_direction_only(cluster: FaultCluster, lasting_s: float) -> None:
    """A host that is not heard, and one that does not hear, are lost as one that is cut off, and return as one."""
    mute, deaf = (name for name in cluster.names if name not in cluster.control)
    unheard = OneWay(cluster, [mute], [name for name in cluster.names if name != mute])
    unhearing = OneWay(cluster, [name for name in cluster.names if name != deaf], [deaf])
    with trial(cluster, All((unheard, unhearing))) as seen:
        until_elsewhere(cluster, mute, deaf, within_s=lasting_s + 5)
        seen.after(lasting_s)
    judge_cut_off(seen, mute, deaf)


def test_history_compacted_while_a_control_host_was_cut_off(cluster: FaultCluster) -> None:
    """Its watches cannot resume: whoever watches there lists again, and misses nothing that happened meanwhile."""
    cut = next(name for name in cluster.control if name != cluster.engine_leader())
    cluster.store.let_lead(cluster.engine_leader())
    doomed = next(unit for unit, host in cluster.where().items() if host == cut)
    with trial(cluster, LinkCut(cluster, cut)) as seen:
        until_elsewhere(cluster, cut, within_s=15)
        cluster.destroy(doomed, besides={cut})
        cluster.store.etcdctl("compact", str(cluster.store.revision()))
    cluster.submit(doomed)
    cluster.until_healthy(within_s=30)
    judge_cut_off(seen, cut, changed={doomed})
