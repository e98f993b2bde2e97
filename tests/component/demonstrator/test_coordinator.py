"""The coordinator's bundle against a fleet's real API, with a node agent's certificate."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from inaetics.api.scale_client import declare, scaling, set_automatic
from inaetics.api.scale_wire import SetRule
from inaetics.api.token_record import KEY, digest
from inaetics.demonstrator.api import (
    AGENT_STATISTICS,
    CLUSTER_INFO,
    COORDINATOR,
    SAMPLE_QUEUE,
    AgentReport,
    Cluster,
    Scaling,
    Stat,
)
from inaetics.errors import Conflict, Forbidden, InvalidInput
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


TOKEN = "open sesame"
TEMPLATE = "[Service]\nExecStart=/bin/sleep 1000\n[X-Fleet]\nConflicts=celix@*.service\n"


class Queue:
    """The statistics of an agent with a queue that fills by `a_call` with each look at it."""

    def __init__(self) -> None:
        self.fill = 0.0
        self.a_call = 0.0
        self.calls = 0
        self.hangs = threading.Event()
        self.hangs.set()

    def report(self) -> AgentReport:
        self.hangs.wait(30)
        self.calls += 1
        self.fill = min(self.fill + self.a_call, 100.0)
        stats = {
            "fill": self.fill,
            "capacity": 20_000,
            "accepted": 1000 * self.calls,
            "refused by queue": 0,
            "acknowledged": 500 * self.calls,
            "lent": 1,
        }
        return AgentReport("felix@2", "here", "", [], [Stat(name, "gauge", "", value) for name, value in stats.items()])


@pytest.fixture
def sets(fleet: LiveFleet) -> Iterator[None]:
    async def put() -> None:
        await fleet.store.put(KEY, digest(TOKEN))

    fleet.call(put)
    with fleet.client() as client:
        client.submit("celix@.service", TEMPLATE, desired="inactive")
        client.submit("celix@2.service", TEMPLATE, desired="launched")
        declare(client, {"processors": SetRule(agents=("celix@2+",), automatic=True)})
        yield
        for unit in client.units().units:
            client.destroy(unit.name)


def processors(coordinator: Any) -> tuple[int, int, int]:
    """Wanted, running, most."""
    found = coordinator.scaling()
    assert isinstance(found, Scaling)
    assert found.sets, found.explanation
    (only,) = found.sets
    return only.wanted, only.running, only.most


@pytest.mark.usefixtures("sets")
def test_a_person_scales_with_the_token_and_nobody_without(framework: BundleFramework) -> None:
    coordinator = framework.service(COORDINATOR)
    eventually(lambda: processors(coordinator) == (1, 1, 3), within_s=20, what="the set is known")
    for wrong in ("", "another", "line\nbreak", "Ünicode"):
        with pytest.raises(Forbidden):
            coordinator.permit(wrong)
        with pytest.raises(Forbidden):
            coordinator.scale("processors", 2, token=wrong)
    coordinator.permit(TOKEN)
    made = coordinator.scale("processors", 2, token=TOKEN)
    assert [(each.wanted, each.most) for each in made.sets] == [(2, 3)]
    assert [(each.before, each.after, each.by) for each in made.decisions] == [(1, 2, "person")]
    eventually(lambda: processors(coordinator) == (2, 2, 3), within_s=20, what="it runs")
    with pytest.raises(Conflict, match="3 workers have room for 3"):
        coordinator.scale("processors", 4, token=TOKEN)
    with pytest.raises(InvalidInput, match="no set 'pipelines'"):
        coordinator.scale("pipelines", 4, token=TOKEN)


@pytest.mark.usefixtures("sets")
def test_the_autoscaler_acts_on_the_queue_and_says_why(fleet: LiveFleet, framework: BundleFramework) -> None:
    coordinator, queue = framework.service(COORDINATOR), Queue()
    eventually(lambda: processors(coordinator) == (1, 1, 3), within_s=20, what="the set is known")
    with fleet.client() as client:
        set_automatic(client, True)

        def explains(words: str) -> None:
            def look() -> bool:
                assert words in coordinator.scaling().explanation, coordinator.scaling()
                return True

            eventually(look, within_s=30, what=f"it says {words!r}")

        explains("there is no queue: nothing is changed")
        taken_away = framework.provide(AGENT_STATISTICS, queue)
        framework.provide(SAMPLE_QUEUE, object())
        explains("queue 0 % and steady: 1 processor will do")
        queue.a_call = 5.0
        eventually(lambda: processors(coordinator)[0] > 1, within_s=30, what="there are more")
        decision = coordinator.scaling().decisions[0]
        assert decision.by == "autoscaler"
        assert "%/s: 1 → " in decision.reason
        queue.a_call = 0
        queue.hangs.clear()
        explains("s late: nothing is changed")
        assert scaling(client).automatic
        queue.hangs.set()
        taken_away()
        explains("there is no queue: nothing is changed")
