"""A whole cluster for a module of system tests: brought up by `inaetics demo`, taken away by `inaetics destroy`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster import Cluster, mounts_below, processes_of


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Five workers with the demonstrator at 2 + 2 agents. Afterwards nothing of it may be left."""
    home = tmp_path_factory.mktemp("home")
    cluster = Cluster(name=f"system-{os.getpid()}", home=home, subnet=f"127.{30 + os.getpid() % 200}.9")
    try:
        cluster.demo = cluster.run("inaetics", "demo", "--subnet", cluster.subnet, timeout_s=600)
        cluster.scaling = json.loads(cluster.run("inaetics", "scale", "--output", "json"))
        cluster.run("inaetics", "scale", "--auto", "off")  # tests name numbers, however busy this machine is
        yield cluster
    finally:
        cluster.run("inaetics", "destroy", timeout_s=120)
    _nothing_left(home)


def _nothing_left(home: Path) -> None:
    left = [str(path) for path in home.rglob("*")]
    assert not left, left[:10]
    assert not mounts_below(home)
    assert not processes_of(home)
