"""The coordinator's bundle against a fleet's real API, with a node agent's certificate."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from inaetics.demonstrator.api import CLUSTER_INFO, Cluster
from inaetics.node import api
from inaetics.node.testing import BundleFramework
from tests.component.api.live import LiveFleet, live_fleet
from tests.support.eventually import eventually

BUNDLE = Path(str(files("inaetics.demonstrator"))) / "bundles" / "coordinator"
UNIT = "[Service]\nExecStart=/bin/sleep 1000\n"


@pytest.fixture(scope="module")
def fleet() -> Iterator[LiveFleet]:
    with live_fleet() as fleet:
        yield fleet


@pytest.fixture
def framework(fleet: LiveFleet, tmp_path: Path) -> Iterator[BundleFramework]:
    node = fleet.node_certificate("node-worker-1")
    for source, name in ((node.ca, "signers.pem"), (node.cert, "cert.pem"), (node.key, "key.pem")):
        shutil.copy(source, tmp_path / name)
    # The first of them is no control host: another one is asked.
    endpoints = f"https://{fleet.subnet}.77:1,{fleet.url}"
    with BundleFramework(properties={api.API_ENDPOINTS: endpoints, api.TLS: str(tmp_path)}) as framework:
        framework.install(BUNDLE)
        yield framework
        framework.uninstall("coordinator")
        assert not framework.left


def picture(info: Any) -> Cluster:
    found = info.cluster()
    assert isinstance(found, Cluster)
    assert found.stale == ""
    return found


def test_the_cluster_as_it_changes(fleet: LiveFleet, framework: BundleFramework) -> None:
    info = framework.service(CLUSTER_INFO)

    def hosts() -> bool:
        found = [(host.name, host.state) for host in picture(info).hosts]
        assert found == [("worker-1", "up"), ("worker-2", "up"), ("worker-3", "up")]
        return True

    eventually(hosts, within_s=20, what="every machine is shown")
    with fleet.client() as client:
        client.submit("seen.service", UNIT, desired="launched")

        def unit() -> bool:
            found = next((unit for unit in picture(info).units if unit.name == "seen.service"), None)
            assert found is not None
            assert (found.active, found.sub) == ("active", "running")
            assert found.host.startswith("worker-")
            told = [event for event in picture(info).events if event.unit == "seen.service"]
            assert told[0].kind == "active", "the newest event comes first"
            return told[0].host == found.host

        eventually(unit, within_s=20, what="the unit and what happened to it are shown")
        client.destroy("seen.service")
        eventually(lambda: not picture(info).units, within_s=20, what="it is gone from the picture")
