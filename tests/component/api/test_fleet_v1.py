"""The original's API as a client built for it meets it, byte by byte where it matters."""

from __future__ import annotations

import http.client
import json
from typing import Any

import pytest

from inaetics.api.client import FleetClient
from inaetics.api.connection import UnixConnection
from inaetics.api.replies import MAX_BODY_BYTES
from tests.component.api.live import LiveFleet
from tests.support.eventually import eventually

OPTIONS = [
    {"section": "Unit", "name": "Description", "value": "Says hello"},
    {"section": "Service", "name": "ExecStart", "value": "/bin/true"},
]
UNIT = "/fleet/v1/units/hello.service"


class Answer:
    """What came back."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self) -> Any:
        assert self.headers["Content-Type"] == "application/json"
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The message of the error entity, whose code must be the status."""
        entity = self.json
        assert set(entity) == {"error"}
        assert entity["error"]["code"] == self.status
        message = entity["error"]["message"]
        assert isinstance(message, str)
        return message


def ask(fleet: LiveFleet, method: str, path: str, body: Any = None, **headers: str) -> Answer:
    """One request on a connection of its own. A body that is no bytes is sent as JSON."""
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    if body is not None:
        headers = {"Content-Type": "application/json", **headers}
    connection = UnixConnection(str(fleet.socket), timeout=10)
    try:
        connection.request(method, path, body, headers)
        return Answer(connection.getresponse())
    finally:
        connection.close()


def current(fleet: LiveFleet, state: str) -> dict[str, Any]:
    def there() -> dict[str, Any] | None:
        unit = ask(fleet, "GET", UNIT).json
        assert isinstance(unit, dict)
        return unit if unit["currentState"] == state else None

    found = eventually(there, within_s=20, what=f"the unit is {state}")
    assert found is not None
    return found


def test_create_read_change_destroy(fleet: LiveFleet) -> None:
    created = ask(fleet, "PUT", UNIT, {"desiredState": "launched", "options": OPTIONS})
    assert (created.status, created.body) == (201, b"")
    unit = current(fleet, "launched")
    assert unit.pop("machineID") in {f"{n:032x}" for n in (1, 2, 3)}
    assert unit == {
        "name": "hello.service",
        "options": OPTIONS,
        "desiredState": "launched",
        "currentState": "launched",
    }
    changed = ask(fleet, "PUT", UNIT, {"name": "hello.service", "desiredState": "inactive"})
    assert (changed.status, changed.body) == (204, b"")
    eventually(lambda: "machineID" not in current(fleet, "inactive"), within_s=20, what="it is on no machine")
    gone = ask(fleet, "DELETE", UNIT)
    assert (gone.status, gone.body) == (204, b"")
    assert "does not exist" in ask(fleet, "GET", UNIT).error
    assert ask(fleet, "DELETE", UNIT).status == 404


def test_a_unit_created_without_a_desired_state_is_inactive(fleet: LiveFleet) -> None:
    assert ask(fleet, "PUT", UNIT, {"options": OPTIONS}).status == 201
    assert ask(fleet, "GET", UNIT).json["desiredState"] == "inactive"


@pytest.mark.parametrize(
    ("options", "status"),
    [
        pytest.param(OPTIONS, 204, id="the-same"),
        pytest.param(OPTIONS[::-1], 204, id="sections-in-another-order"),
        pytest.param([], 204, id="none"),
        pytest.param([{**OPTIONS[0], "value": " Says hello "}, OPTIONS[1]], 204, id="blanks-around-a-value"),
        pytest.param([{**OPTIONS[0], "value": "Says \\\nhello"}, OPTIONS[1]], 201, id="one-blank-more"),
        pytest.param(OPTIONS[1:], 201, id="one-less"),
        pytest.param([*OPTIONS, OPTIONS[1]], 400, id="what-no-machine-runs"),
    ],
)
def test_options_that_differ_are_a_new_file(fleet: LiveFleet, options: list[dict[str, str]], status: int) -> None:
    assert ask(fleet, "PUT", UNIT, {"desiredState": "loaded", "options": OPTIONS}).status == 201
    assert ask(fleet, "PUT", UNIT, {"desiredState": "inactive", "options": options}).status == status
    unit = ask(fleet, "GET", UNIT).json
    joined = [{**option, "value": option["value"].replace("\\\n", " ")} for option in options]
    assert unit["options"] == (joined if status == 201 else OPTIONS)
    assert unit["desiredState"] == ("loaded" if status == 400 else "inactive")


def test_a_new_file_is_refused_as_a_first_one_is(fleet: LiveFleet) -> None:
    """Circles through several units too: what `submit` refuses comes in here neither."""
    other = [*OPTIONS, {"section": "X-Fleet", "name": "MachineOf", "value": "hello.service"}]
    back = [*OPTIONS, {"section": "X-Fleet", "name": "MachineOf", "value": "other.service"}]
    assert ask(fleet, "PUT", UNIT, {"options": OPTIONS}).status == 201
    assert ask(fleet, "PUT", UNIT.replace("hello", "other"), {"options": other}).status == 201
    answer = ask(fleet, "PUT", UNIT, {"options": back})
    assert (answer.status, ask(fleet, "GET", UNIT).json["options"]) == (400, OPTIONS)
    assert "other.service" in answer.error


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        pytest.param({"desiredState": "launched"}, 409, "options field empty", id="create-without-options"),
        pytest.param({"options": [], "desiredState": "launched"}, 409, "options field empty", id="empty-options"),
        pytest.param({"name": "x.service", "options": OPTIONS}, 400, "differs from unit name", id="another-name"),
        pytest.param({"desiredState": "on", "options": OPTIONS}, 400, "'on' is none of", id="unknown-state"),
        pytest.param({"options": [*OPTIONS[:1], {"section": "Service"}]}, 400, "name", id="option-without-a-name"),
        pytest.param(
            {"options": [{"section": "Service", "name": "ExecStrat", "value": "x"}]}, 400, "ExecStrat", id="directive"
        ),
        pytest.param(
            {"options": [{"section": "Service", "name": "ExecStart", "value": "x\nUser=root"}]},
            400,
            "line end",
            id="smuggled-option",
        ),
        pytest.param([1, 2], 400, "unable to decode body", id="no-object"),
        pytest.param(b"{", 400, "unable to decode body", id="half-an-object"),
        pytest.param(b"\xff\xfe", 400, "unable to decode body", id="no-text"),
        pytest.param(b"", 400, "unable to decode body", id="nothing"),
        pytest.param(b'{"options":' * 50_000, 400, "unable to decode body", id="very-deep"),
        pytest.param({"options": "x" * (MAX_BODY_BYTES + 1)}, 413, "bytes", id="huge"),
    ],
)
def test_a_create_that_is_refused_stores_nothing(fleet: LiveFleet, body: Any, status: int, words: str) -> None:
    answer = ask(fleet, "PUT", UNIT, body)
    assert answer.status == status, answer.body
    assert words in answer.error
    assert ask(fleet, "GET", "/fleet/v1/units").json == {"units": []}


def test_a_change_that_says_nothing_is_a_conflict(fleet: LiveFleet) -> None:
    assert ask(fleet, "PUT", UNIT, {"options": OPTIONS}).status == 201
    answer = ask(fleet, "PUT", UNIT, {"options": OPTIONS})
    assert answer.status == 409
    assert "desiredState" in answer.error


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_body_that_is_not_said_to_be_json_is_refused(fleet: LiveFleet, kind: str) -> None:
    answer = ask(fleet, "PUT", UNIT, {"options": OPTIONS}, **{"Content-Type": kind})
    assert answer.status == 415
    assert "application/json" in answer.error


def test_a_content_type_with_a_charset_is_accepted(fleet: LiveFleet) -> None:
    answer = ask(fleet, "PUT", UNIT, {"options": OPTIONS}, **{"Content-Type": "application/json; charset=utf-8"})
    assert answer.status == 201


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/fleet/v1/units", 405),
        ("POST", UNIT, 405),
        ("DELETE", "/fleet/v1/machines", 405),
        ("PUT", "/fleet/v1/state", 405),
        ("GET", "/fleet/v1/units/foo/bar", 404),
        ("GET", "/fleet/v2/units", 404),
        ("GET", "/fleet/v1/units/", 404),
        ("GET", "/fleet/v1/nothing", 404),
        ("GET", "/", 405),
        ("GET", "/fleet/v1", 405),
    ],
)
def test_what_is_no_resource_or_method_is_an_error_entity(
    fleet: LiveFleet, method: str, path: str, status: int
) -> None:
    answer = ask(fleet, method, path)
    assert answer.status == status
    assert answer.error


@pytest.mark.parametrize("resource", ["units", "state", "machines"])
@pytest.mark.parametrize("token", ["EwBMLg==", "nonsense", "ZAABAA==&nextPageToken=ZAABAA=="])
def test_a_bad_page_token_is_refused(fleet: LiveFleet, resource: str, token: str) -> None:
    answer = ask(fleet, "GET", f"/fleet/v1/{resource}?nextPageToken={token}")
    assert answer.status == 400
    assert "nextPageToken" in answer.error


def test_units_come_in_pages_of_a_hundred(fleet: LiveFleet, client: FleetClient) -> None:
    for n in range(103):
        client.submit(f"page{n:03}.service", "[Service]\nExecStart=/bin/true\n")
    first = ask(fleet, "GET", "/fleet/v1/units").json
    assert len(first["units"]) == 100
    second = ask(fleet, "GET", f"/fleet/v1/units?nextPageToken={first['nextPageToken']}").json
    names = [unit["name"] for unit in (*first["units"], *second["units"])]
    assert names == [f"page{n:03}.service" for n in range(103)]
    assert "nextPageToken" not in second


def test_states_and_their_filters(fleet: LiveFleet) -> None:
    ask(fleet, "PUT", UNIT, {"desiredState": "launched", "options": OPTIONS})
    machine = current(fleet, "launched")["machineID"]
    (state,) = ask(fleet, "GET", "/fleet/v1/state").json["states"]
    assert len(state.pop("hash")) == 64
    assert state == {
        "name": "hello.service",
        "machineID": machine,
        "systemdLoadState": "loaded",
        "systemdActiveState": "active",
        "systemdSubState": "running",
    }
    assert len(ask(fleet, "GET", f"/fleet/v1/state?machineID={machine}&unitName=hello.service").json["states"]) == 1
    assert ask(fleet, "GET", "/fleet/v1/state?machineID=nope").json == {"states": []}
    assert ask(fleet, "GET", "/fleet/v1/state?unitName=nope").json == {"states": []}


def test_machines(fleet: LiveFleet) -> None:
    assert ask(fleet, "GET", "/fleet/v1/machines").json == {
        "machines": [
            {"id": f"{n + 1:032x}", "primaryIP": address, "metadata": {"role": "inaetics-agent"}}
            for n, address in enumerate(fleet.addresses)
        ]
    }


def test_the_discovery_document_describes_every_resource(fleet: LiveFleet) -> None:
    document = ask(fleet, "GET", "/fleet/v1/discovery").json
    assert document["rootUrl"] == "$ENDPOINT/"
    described = {
        (method["httpMethod"], f"/{document['servicePath']}{method['path']}")
        for resource in document["resources"].values()
        for method in resource["methods"].values()
    }
    for method, path in described:
        if method == "GET" and "{" not in path:
            assert ask(fleet, method, path).status == 200
    assert len(described) == 6
    ask(fleet, "PUT", UNIT, {"options": OPTIONS})
    assert set(ask(fleet, "GET", UNIT).json) <= set(document["schemas"]["Unit"]["properties"])
