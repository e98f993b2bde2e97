"""Real clusters on subnets of their own, driven by the installed command; nothing of them may be left."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster import Cluster, mounts_below, processes_of

NET = 30 + os.getpid() % 200
"""The second number of these tests' subnets: two runs on one machine do not meet."""


@pytest.fixture(scope="module")
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster that does not exist yet, named after the module; destroyed in the end, if the tests did not."""
    home = tmp_path_factory.mktemp("home")
    module = request.module.__name__.rsplit("_", 1)[-1]
    made = Cluster(name=f"{module}-{os.getpid()}", home=home, subnet=f"127.{NET}.{len(module)}")
    yield made
    if (home / made.name).exists():
        made.run("inaetics", "destroy", timeout_s=60)
    nothing_left(made)


def nothing_left(cluster: Cluster) -> None:
    """No process, mount, file or run directory of the cluster."""
    assert processes_of(cluster.home) == []
    assert mounts_below(cluster.home) == []
    assert list(cluster.home.rglob("*")) == []
    assert not Path("/run/inaetics", cluster.name).exists()
