"""One cluster for a module, and what is left of it on disk when one of its tests failed."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.fault.cluster import GLOBAL, STOPS, FaultCluster, fault_cluster
from tests.fault.scenes import EVERYWHERE, KEEP, STOP

EVIDENCE = Path(__file__).parents[2] / "test-evidence"

_failed = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.stash[_failed] = True
    return report


@pytest.fixture(scope="module")
def module_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultCluster]:
    with fault_cluster(tmp_path_factory.mktemp("fault"), evidence=EVIDENCE / "no-start") as made:
        yield made


@pytest.fixture
def cluster(module_cluster: FaultCluster, request: pytest.FixtureRequest) -> Iterator[FaultCluster]:
    """The module's cluster. When the test fails, its history and journals are kept in test-evidence/."""
    yield module_cluster
    if request.node.stash.get(_failed, False):
        name = re.sub(r"[^\w.-]+", "-", request.node.name)
        module_cluster.keep_evidence(EVIDENCE / name)


@pytest.fixture(scope="module")
def units(module_cluster: FaultCluster) -> None:
    for unit in KEEP:
        module_cluster.submit(unit)
    module_cluster.until_healthy(within_s=30)
    for unit in STOP:
        module_cluster.submit(unit, options=STOPS)
    module_cluster.submit(EVERYWHERE, options=GLOBAL)
    module_cluster.until_healthy(within_s=30)


@pytest.fixture
def spread(cluster: FaultCluster, units: None) -> None:
    cluster.spread()
