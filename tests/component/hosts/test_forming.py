"""A power cut in the first moments of a cluster: whatever was begun, the next `up` forms it. Minutes: `make soak`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.cluster import Cluster, processes_of
from tests.support.eventually import eventually

pytestmark = [pytest.mark.soak, pytest.mark.timeout(240)]

HOSTS = ("bootstrap", "worker-1", "worker-2", "worker-3")


def _exists(path: str) -> Callable[[Path], bool]:
    return lambda hosts: (hosts / path).exists()


def _members_begun(hosts: Path) -> bool:
    return len(list(hosts.glob("worker-*/etcd/data/member/wal"))) == 3


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(_exists("bootstrap/discovery/data/member"), id="discovery's first moment"),
        pytest.param(_exists("worker-2/etcd/formation.json"), id="members found each other"),
        pytest.param(_exists("worker-1/etcd/data/member"), id="the first member's first moment"),
        pytest.param(_members_begun, id="all members' first moment"),
    ],
)
def test_a_power_cut_while_the_store_forms(cluster: Cluster, moment: Callable[[Path], bool]) -> None:
    command = [str(Path(sys.executable).with_name("inaetics")), "up", "--workers", "3", "--subnet", cluster.subnet]
    hosts = cluster.home / cluster.name / "hosts"
    with subprocess.Popen(command, env=cluster.environment, stderr=subprocess.DEVNULL) as up:
        eventually(lambda: moment(hosts), within_s=30, what="the moment has come")
        up.kill()
    cluster.run("inaetics", "kill", *HOSTS)
    assert processes_of(cluster.home) == []
    cluster.run("inaetics", "up", timeout_s=100)
    assert cluster.run("inaetics", "ssh", "worker-1", "--", "etcdctl", "put", "/x", "y") == "OK\n"
    cluster.run("inaetics", "destroy")
