"""One fleet a test module; each test destroys what it submitted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from inaetics.api.client import FleetClient
from tests.component.api.live import LiveFleet, live_fleet
from tests.support.eventually import eventually


@pytest.fixture(scope="module")
def running() -> Iterator[LiveFleet]:
    with live_fleet() as fleet:
        with fleet.client() as client:
            eventually(lambda: len(client.machines()) == 3, within_s=20, what="three machines are listed")
        yield fleet


@pytest.fixture
def fleet(running: LiveFleet) -> Iterator[LiveFleet]:
    yield running
    running.script.reports.clear()
    running.script.giving_up_s = 0.0
    running.script.silent.clear()
    running.script.starts_in_s = None
    with running.client() as client:
        for unit in client.units().units:
            client.destroy(unit.name)
        eventually(lambda: not client.states().states, within_s=20, what="no machine has anything")


@pytest.fixture
def client(fleet: LiveFleet) -> Iterator[FleetClient]:
    with fleet.client() as client:
        yield client
