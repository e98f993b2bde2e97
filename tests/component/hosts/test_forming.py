"""A power cut in the first moments of a cluster: whatever was begun, the next `up` forms it. Minutes: `make soak`.

One of these moments is where `test_three` begins.
"""

from __future__ import annotations

import pytest

from tests.component.hosts.moments import Moment, exists, members_begun, up_cut_short
from tests.support.cluster import Cluster

pytestmark = [pytest.mark.soak, pytest.mark.timeout(240)]


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(exists("bootstrap/discovery/data/member"), id="discovery's first moment"),
        pytest.param(exists("worker-2/etcd/formation.json"), id="members found each other"),
        pytest.param(exists("worker-1/etcd/data/member"), id="the first member's first moment"),
        pytest.param(members_begun, id="all members' first moment"),
    ],
)
def test_a_power_cut_while_the_store_forms(cluster: Cluster, moment: Moment) -> None:
    up_cut_short(cluster, moment)
    cluster.run("inaetics", "up", timeout_s=100)
    assert cluster.run("inaetics", "ssh", "worker-1", "--", "etcdctl", "put", "/x", "y") == "OK\n"
    cluster.run("inaetics", "destroy")
