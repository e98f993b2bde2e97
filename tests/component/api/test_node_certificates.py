"""What a node agent's certificate opens at the API: a few things by name, whatever name it bears itself."""

from __future__ import annotations

import http.client
import json
import ssl
from typing import Any

import pytest

from inaetics.api.client import FleetClient
from inaetics.api.peers import NODES_MAY
from tests.component.api.live import API_PORT, NODES, LiveFleet

UNIT = "[Service]\nExecStart=/bin/true\n"


def ask(fleet: LiveFleet, name: str, method: str, path: str, body: object = None) -> tuple[int, Any]:
    """Status and JSON of an answer to a node agent whose certificate is made out to `name`."""
    tls = fleet.node_certificate(name)
    context = ssl.create_default_context(cafile=str(tls.ca))
    context.load_cert_chain(tls.cert, tls.key)
    connection = http.client.HTTPSConnection(fleet.settings.address, API_PORT, timeout=10, context=context)
    try:
        sent = None if body is None else json.dumps(body)
        connection.request(method, path, sent, {"Content-Type": "application/json"} if sent else {})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null")
    finally:
        connection.close()


def test_it_reads_machines_units_states_and_events(fleet: LiveFleet) -> None:
    with FleetClient(fleet.url, fleet.node_certificate("node-worker-1")) as node:
        assert len(node.machines()) == 3
        assert node.units().units == ()
        assert node.states().states == ()
    assert ask(fleet, "node-worker-1", "GET", "/inaetics/v1/events?limit=1")[0] == 200


def test_everything_else_is_refused_in_words(fleet: LiveFleet, client: FleetClient) -> None:
    """Every operation that is described, by its path: a new one is refused unless it is written down."""
    client.submit("a.service", UNIT, desired="launched")
    document = client.get_as("/inaetics/v1/openapi.json", dict[str, Any])
    refused = 0
    for path, methods in document["paths"].items():
        for method in methods:
            if f"{method.upper()} {path}" in NODES_MAY:
                continue
            concrete = path.replace("{name}", "a.service").replace("{", "").replace("}", "")
            status, answer = ask(fleet, "node-worker-1", method.upper(), concrete)
            assert status == 403, (method, path)
            assert "the certificate 'node-worker-1' is a node agent's" in answer["error"]["message"]
            refused += 1
    assert refused > 30


@pytest.mark.parametrize("name", NODES)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/inaetics/v1/units/b.service"),
        ("PUT", "/fleet/v1/units/b.service"),
        ("GET", "/inaetics/v1/units/a.service"),
        ("GET", "/inaetics/v1/journal/a.service"),
        ("GET", "/inaetics/v1/units/"),
        ("GET", "/inaetics/v1/units%2Fa.service"),
        ("HEAD", "/inaetics/v1/units"),
        ("GET", "/metrics"),
        ("GET", "/dashboard/"),
        ("GET", "/nowhere"),
    ],
)
def test_the_name_in_it_opens_nothing(fleet: LiveFleet, name: str, method: str, path: str) -> None:
    body = {"text": UNIT, "desired": "launched"} if method == "PUT" else None
    assert ask(fleet, name, method, path, body)[0] == 403
    with fleet.client() as owner:
        assert owner.units().units == ()


def test_the_description_names_what_node_agents_may(fleet: LiveFleet, client: FleetClient) -> None:
    document = client.get_as("/inaetics/v1/openapi.json", dict[str, Any])
    marked = {
        f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if operation.get("x-node-agents")
    }
    assert marked == set(NODES_MAY)
