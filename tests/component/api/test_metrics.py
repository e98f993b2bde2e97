"""What Prometheus reads of an API: counted as it happens, parsed back by Prometheus' own parser."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from inaetics.api.client import FleetClient
from inaetics.errors import NotFound
from tests.component.api.live import LiveFleet
from tests.component.api.test_fleet_v1 import ask
from tests.support.eventually import eventually

TEXT = "[Service]\nExecStart=/bin/true\n"


def metrics(fleet: LiveFleet) -> dict[str, dict[tuple[str, ...], float]]:
    """Every sample: values by the values of their labels, in the labels' order."""
    answer = ask(fleet, "GET", "/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(answer.body.decode()):
        for sample in family.samples:
            key = tuple(sample.labels[name] for name in sorted(sample.labels))
            found.setdefault(sample.name, {})[key] = sample.value
    return found


def test_the_fleet_is_shown(fleet: LiveFleet, client: FleetClient) -> None:
    client.submit("a@1.service", TEXT, desired="launched")
    client.submit("b.service", TEXT)
    client.submit("c.service", TEXT + "[X-Fleet]\nMachineID=0123456789abcdef0123456789abcdef\n", desired="launched")
    eventually(lambda: client.unit("a@1.service").unit.active == "active", within_s=20, what="it runs")
    eventually(lambda: metrics(fleet)["inaetics_engine_leads"][()] == 1, within_s=20, what="an engine leads")
    shown = metrics(fleet)
    assert shown["inaetics_units"] == {("active",): 1}
    assert shown["inaetics_units_desired"] == {("launched",): 2, ("inactive",): 1}
    assert shown["inaetics_units_waiting"][()] == 1
    assert (shown["inaetics_machines"][()], shown["inaetics_placements"][()]) == (3, 1)
    assert shown["inaetics_revision"][()] >= 3


def test_decisions_writes_and_events_are_counted(fleet: LiveFleet, client: FleetClient) -> None:
    before = metrics(fleet)
    client.submit("a.service", TEXT, desired="launched")
    eventually(lambda: client.unit("a.service").unit.active == "active", within_s=20, what="it runs")

    def more(name: str, *labels: str) -> float:
        return metrics(fleet).get(name, {}).get(labels, 0.0) - before.get(name, {}).get(labels, 0.0)

    assert more("inaetics_plan_seconds_count") >= 1
    assert more("inaetics_store_seconds_count", "commit") >= 2, "the submission, and the placement"
    eventually(lambda: more("inaetics_events_total", "submitted") >= 1, within_s=20, what="its events are told")


def test_requests_are_counted_by_route_never_by_path(fleet: LiveFleet, client: FleetClient) -> None:
    before = metrics(fleet).get("inaetics_http_requests_total", {})
    for name in ("x.service", "y.service"):
        with pytest.raises(NotFound):
            client.unit(name)
    ask(fleet, "GET", "/no/such/path")
    ask(fleet, "BREW", "/fleet/v1/units")
    after = metrics(fleet)["inaetics_http_requests_total"]

    def more(*labels: str) -> float:
        return after.get(labels, 0.0) - before.get(labels, 0.0)

    assert more("GET", "/inaetics/v1/units/{name}", "404") == 2
    assert more("GET", "none", "404") == 1
    assert more("other", "/fleet/v1/units", "405") == 1
    assert not any("service" in label or "such" in label for labels in after for label in labels)


def test_a_silent_store_shows(fleet: LiveFleet, client: FleetClient) -> None:
    errors = ("Unavailable", "leader")
    before = metrics(fleet).get("inaetics_store_errors_total", {}).get(errors, 0.0)
    with fleet.outage():
        eventually(lambda: metrics(fleet)["inaetics_store_silent_seconds"][()] > 0, within_s=20, what="it shows")
        eventually(
            lambda: metrics(fleet).get("inaetics_store_errors_total", {}).get(errors, 0.0) > before,
            within_s=20,
            what="it is counted",
        )
    eventually(lambda: client.health().store == "ok", within_s=20, what="the store is back")


def test_the_process_shows_itself(fleet: LiveFleet) -> None:
    assert metrics(fleet)["process_resident_memory_bytes"][()] > 1e6
