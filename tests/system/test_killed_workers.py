"""The demonstrator under load while its workers lose their power: what it promises, seen from its page and judged from
outside. Minutes each: `make soak`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.cluster import Cluster
from tests.support.eventually import eventually
from tests.support.judged_run import accounting, faults, run_dry, run_with_kills, set_cost, set_load, steady

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]

PATIENCE_S = 180


def test_a_worker_killed_every_minute_for_ten_minutes_loses_and_doubles_nothing(cluster: Cluster) -> None:
    steady(cluster, 4)
    cluster.run("inaetics", "scale", "producers", "4")  # two workers are spared: one at least dies with a producer
    eventually(lambda: _producing(cluster, 4), within_s=PATIENCE_S, what="four producers produce")
    run = run_with_kills(cluster, minutes=10, percent=20)
    print(run.told())  # noqa: T201 - what pytest -s shows and a failure keeps
    assert not faults(run, met={"producer", "processor", "processor_native"})
    assert run.watched.last["stored"] > 500_000


def test_what_a_dead_queue_held_is_counted_and_shown(cluster: Cluster) -> None:
    steady(cluster, 3)  # a worker stays free for what is killed
    set_cost(cluster, 10_000)  # dearer than the processors can do: the queue fills
    set_load(cluster, 100)
    eventually(lambda: _waiting(cluster), within_s=PATIENCE_S, what="samples wait in the queue")
    lost = cluster.where()["felix@2.service"]
    assert lost is not None
    cluster.run("inaetics", "kill", lost)
    eventually(lambda: _lost(cluster), within_s=PATIENCE_S, what="the page tells how many samples the queue took along")
    cluster.run("inaetics", "up", lost)
    set_cost(cluster, 0)
    settled = run_dry(cluster)
    assert settled["holds"], settled
    assert settled["lost_with_queue"] > 0, settled


def test_a_datastore_that_moved_begins_anew_and_says_so(cluster: Cluster) -> None:
    steady(cluster, 3)
    set_load(cluster, 60)
    before = accounting(cluster)
    lost = cluster.where()["felix@1.service"]
    assert lost is not None
    cluster.run("inaetics", "kill", lost)

    def anew() -> dict[str, Any]:
        said = accounting(cluster)
        assert said["stored"] > 0, said
        assert said["note"], said
        assert said["since_ms"] > before["at_ms"], said
        return said

    said = eventually(anew, within_s=PATIENCE_S, what="the accounting begins anew on another worker and says so")
    assert said["holds"], said
    cluster.run("inaetics", "up", lost)


def _producing(cluster: Cluster, count: int) -> bool:
    """Their bundles came, and what they make is counted."""
    agents = cluster.page("/statistics")["agents"]
    counted = [line for agent in agents for line in agent["series"] if line["name"] == "produced" and line["points"]]
    assert len(counted) == count, [agent["agent"] for agent in agents]
    assert all(line["points"][-1][1] > 0 for line in counted), counted
    return True


def _waiting(cluster: Cluster) -> int:
    said = accounting(cluster)
    assert said["queued"] > 1000, said
    return int(said["queued"])


def _lost(cluster: Cluster) -> int:
    return int(accounting(cluster)["lost_with_queue"])
