"""A power cut at a chosen moment of the first `inaetics up`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.support.cluster import Cluster, processes_of
from tests.support.eventually import eventually

Moment = Callable[[Path], bool]
"""Whether it has come, by the directory of all hosts."""


def exists(path: str) -> Moment:
    return lambda hosts: (hosts / path).exists()


def members_begun(hosts: Path) -> bool:
    """All three members of the store have begun to write: killed here, etcd may never come up from what it left."""
    return len(list(hosts.glob("worker-*/etcd/data/member/wal"))) == 3


def up_cut_short(cluster: Cluster, moment: Moment) -> None:
    """Begin to make a cluster of three workers, and kill everything of it when the moment has come."""
    command = [str(Path(sys.executable).with_name("inaetics")), "up", "--workers", "3", "--subnet", cluster.subnet]
    hosts = cluster.home / cluster.name / "hosts"
    with subprocess.Popen(command, env=cluster.environment, stderr=subprocess.DEVNULL) as up:
        eventually(lambda: moment(hosts), within_s=30, what="the moment has come")
        up.kill()
    cluster.run("inaetics", "kill", "bootstrap", "worker-1", "worker-2", "worker-3")
    assert processes_of(cluster.home) == []
