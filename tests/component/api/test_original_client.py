"""A client generated for the original works unchanged, over the Unix socket and over TCP."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from inaetics.api.client import FleetClient
from inaetics.api.connection import UnixConnection
from inaetics.api.endpoint import client_context
from tests.component.api.live import API_PORT, LiveFleet
from tests.component.api.original_client import ApiError, OriginalClient
from tests.support.eventually import eventually

OPTIONS = [
    {"section": "Unit", "name": "Description", "value": "A sleeper"},
    {"section": "Service", "name": "ExecStart", "value": "/usr/bin/sleep 3000"},
    {"section": "Service", "name": "ExecStartPre", "value": "-/bin/true"},
    {"section": "Service", "name": "ExecStartPre", "value": '/bin/sh -c "echo a  b \\" c"'},
    {"section": "X-Fleet", "name": "MachineMetadata", "value": '"role=inaetics-agent"'},
]


def over_socket(fleet: LiveFleet) -> http.client.HTTPConnection:
    return UnixConnection(str(fleet.socket), timeout=20)


def over_tcp(fleet: LiveFleet) -> http.client.HTTPConnection:
    context = client_context(fleet.url, fleet.client_tls)
    return http.client.HTTPSConnection(fleet.settings.address, API_PORT, timeout=20, context=context)


@pytest.fixture(params=[over_socket, over_tcp], ids=["unix-socket", "tcp"])
def original(fleet: LiveFleet, request: pytest.FixtureRequest) -> OriginalClient:
    connect: Callable[[LiveFleet], http.client.HTTPConnection] = request.param
    connection = connect(fleet)
    connection.request("GET", "/fleet/v1/discovery")
    document = json.loads(connection.getresponse().read())
    connection.close()
    return OriginalClient(lambda: connect(fleet), document)


def reaches(original: OriginalClient, name: str, state: str) -> Any:
    def there() -> Any:
        unit = original.call("Units", "Get", unitName=name)
        return unit if unit["currentState"] == state else None

    return eventually(there, within_s=20, what=f"{name} is {state}")


def test_a_units_life(original: OriginalClient) -> None:
    name = "sleeper.service"
    assert (
        original.call("Units", "Set", {"name": name, "desiredState": "launched", "options": OPTIONS}, unitName=name)
        is None
    )
    unit = reaches(original, name, "launched")
    assert (unit["name"], unit["desiredState"], unit["options"]) == (name, "launched", OPTIONS)
    (state,) = original.pages("UnitState", "states", unitName=name)
    assert (state["name"], state["machineID"], state["systemdActiveState"]) == (name, unit["machineID"], "active")
    assert unit["machineID"] in {machine["id"] for machine in original.pages("Machines", "machines")}
    original.call("Units", "Set", {"name": name, "desiredState": "loaded"}, unitName=name)
    reaches(original, name, "loaded")
    original.call("Units", "Set", {"desiredState": "inactive"}, unitName=name)
    eventually(lambda: "machineID" not in reaches(original, name, "inactive"), within_s=20, what="it is on no machine")
    original.call("Units", "Delete", unitName=name)
    with pytest.raises(ApiError) as gone:
        original.call("Units", "Get", unitName=name)
    assert (gone.value.status, gone.value.code) == (404, 404)


@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        pytest.param("a.service", {"desiredState": "launched"}, 409, id="create-without-options"),
        pytest.param("a.service", {"name": "b.service", "options": OPTIONS}, 400, id="another-name"),
        pytest.param("a.service", {"desiredState": "running", "options": OPTIONS}, 400, id="unknown-state"),
        pytest.param("noending", {"options": OPTIONS}, 400, id="no-unit-name"),
        pytest.param("a b.service", {"options": OPTIONS}, 400, id="odd-character"),
        pytest.param("@.service", {"options": OPTIONS}, 400, id="at-in-front"),
        pytest.param("a" * 300 + ".service", {"options": OPTIONS}, 400, id="too-long"),
        pytest.param(
            "a.service", {"options": [{"section": "Service", "name": "", "value": ""}]}, 400, id="empty-option"
        ),
    ],
)
def test_what_is_refused_is_an_error_entity(original: OriginalClient, name: str, body: Any, status: int) -> None:
    with pytest.raises(ApiError) as refused:
        original.call("Units", "Set", body, unitName=name)
    assert (refused.value.status, refused.value.code) == (status, status)
    assert list(original.pages("Units", "units")) == []


def test_what_is_null_is_as_if_it_were_left_out(original: OriginalClient) -> None:
    """Clients of other languages than Go write what they do not set as null."""
    body = {"name": None, "desiredState": None, "currentState": None, "machineID": None, "options": OPTIONS}
    original.call("Units", "Set", body, unitName="a.service")
    assert original.call("Units", "Get", unitName="a.service")["desiredState"] == "inactive"
    original.call("Units", "Set", {"desiredState": "inactive", "options": None}, unitName="a.service")


def test_replace(original: OriginalClient, client: FleetClient) -> None:
    """What the original's `start --replace` sends: the new file without a state, then the state if it is another."""
    name, changed = "a.service", [OPTIONS[0], {**OPTIONS[1], "value": "/bin/sleep 8"}]
    original.call("Units", "Set", {"name": name, "desiredState": "launched", "options": OPTIONS}, unitName=name)
    reaches(original, name, "launched")
    (before,) = original.pages("UnitState", "states", unitName=name)
    original.call("Units", "Set", {"name": name, "options": changed}, unitName=name)
    unit = original.call("Units", "Get", unitName=name)
    assert unit["options"] == changed
    if unit["desiredState"] != "launched":
        original.call("Units", "Set", {"name": name, "desiredState": "launched"}, unitName=name)
    reaches(original, name, "launched")

    def runs_anew() -> bool:
        (state,) = original.pages("UnitState", "states", unitName=name)
        return bool(state["hash"] != before["hash"] and state["systemdActiveState"] == "active")

    eventually(runs_anew, within_s=20, what="the machine runs the new file")
    assert "/bin/sleep 8" in client.unit(name).text


def test_names_with_every_character_a_unit_may_have(original: OriginalClient) -> None:
    name = r"a:b_c.d-e\x2d@i:1_.\-.service"
    original.call("Units", "Set", {"desiredState": "loaded", "options": OPTIONS}, unitName=name)
    assert reaches(original, name, "loaded")["name"] == name


def test_collections_come_in_pages(original: OriginalClient, client: FleetClient) -> None:
    for number in range(205):
        client.submit(f"many@{number:03}.service", "[Service]\nExecStart=/bin/true\n")
    names = [unit["name"] for unit in original.pages("Units", "units")]
    assert names == [f"many@{number:03}.service" for number in range(205)]


def test_a_token_of_another_collection_is_refused(original: OriginalClient, client: FleetClient) -> None:
    for number in range(101):
        client.submit(f"many@{number:03}.service", "[Service]\nExecStart=/bin/true\n")
    token = original.call("Units", "List")["nextPageToken"]
    for resource in ("UnitState", "Machines"):
        with pytest.raises(ApiError, match="nextPageToken") as refused:
            original.call(resource, "List", nextPageToken=token)
        assert refused.value.code == 400


def test_the_clients_root_url_is_anything(original: OriginalClient) -> None:
    for root in ("http://domain-sock", "http://localhost", "http://127.0.0.1:49153"):
        other = OriginalClient(original.connect, original.document, root)
        assert len(other.call("Machines", "List")["machines"]) == 3
    assert quote("@", safe="") == "%40", "generated clients encode the at sign of instances"
