"""Scaling over the API: who may, within what bounds, and what is remembered."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from inaetics.api.client import FleetClient
from inaetics.api.hosts_wire import INVENTORY, Inventory, InventoryHost
from inaetics.api.scale_client import declare, scale, scaling, set_automatic
from inaetics.api.scale_wire import SetRule
from inaetics.api.token_record import KEY, digest
from inaetics.errors import Conflict, InvalidInput, NotFound
from inaetics.fleet.keys import SCALE
from tests.component.api.live import API_PORT, LiveFleet

TEMPLATE = "[Service]\nExecStart=/bin/sleep 1000\n[X-Fleet]\nConflicts=celix@*.service\n"
SETS = {
    "processors": SetRule(agents=("celix@2+",), automatic=True),
    "others": SetRule(agents=("celix@1",), least=0),
}
TOKEN = "open sesame"


@pytest.fixture(autouse=True)
def demonstrator(fleet: LiveFleet, client: FleetClient) -> Iterator[None]:
    """Three workers, a template, one processor, and a token."""

    async def put() -> None:
        await fleet.store.put(KEY, digest(TOKEN))

    async def forget() -> None:
        await fleet.store.delete(SCALE)

    fleet.call(put)
    client.submit("celix@.service", TEMPLATE, desired="inactive")
    declare(client, SETS)
    scale(client, "processors", 1)
    yield
    fleet.call(forget)


def ask(
    fleet: LiveFleet,
    method: str,
    path: str,
    body: object = None,
    *,
    token: str | None = None,
    name: str = "node-worker-1",
) -> tuple[int, Any]:
    """What a node agent is answered."""
    tls = fleet.node_certificate(name)
    context = ssl.create_default_context(cafile=str(tls.ca))
    context.load_cert_chain(tls.cert, tls.key)
    connection = http.client.HTTPSConnection(fleet.settings.address, API_PORT, timeout=10, context=context)
    headers = {"Content-Type": "application/json"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    try:
        connection.request(method, f"/inaetics/v1/{path}", json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def wanted(client: FleetClient) -> int:
    return next(each.wanted for each in scaling(client).sets if each.kind == "processors")


def test_an_operator_scales_up_and_down_and_it_is_remembered(client: FleetClient) -> None:
    reply = scale(client, "processors", 3, reason="a visitor")
    assert reply.started == ("celix@3.service", "celix@4.service")
    assert {unit.name for unit in client.units().units} >= {"celix@2.service", "celix@3.service", "celix@4.service"}
    assert scale(client, "processors", 1).destroyed == ("celix@4.service", "celix@3.service")
    first, second, *_ = scaling(client).decisions
    assert (first.before, first.after, first.by) == (3, 1, "operator")
    assert (second.before, second.after, second.reason) == (1, 3, "a visitor")


def test_a_plan_changes_nothing(client: FleetClient) -> None:
    reply = scale(client, "processors", 3, plan=True)
    assert (reply.planned, reply.started) == (True, ("celix@3.service", "celix@4.service"))
    assert wanted(client) == 1
    assert len(scaling(client).decisions) == 1


def test_beyond_the_workers_is_refused_with_their_number(client: FleetClient) -> None:
    with pytest.raises(Conflict, match="the cluster's 3 workers have room for 3"):
        scale(client, "processors", 4)
    with pytest.raises(NotFound, match="there are: others, processors"):
        scale(client, "pipelines", 1)
    assert wanted(client) == 1


def test_the_operators_bounds_hold_for_everybody(fleet: LiveFleet, client: FleetClient) -> None:
    declare(client, {"processors": SetRule(agents=("celix@2+",), least=1, most=2)})
    with pytest.raises(InvalidInput, match="at most 2 are allowed"):
        scale(client, "processors", 3)
    assert ask(fleet, "PUT", "scale/sets/processors", {"count": 3}, token=TOKEN)[0] == 400
    status, answer = ask(fleet, "PUT", "scale/sets", {"sets": {"processors": {"agents": ["felix@1+"]}}}, token=TOKEN)
    assert status == 403
    assert "PUT /inaetics/v1/scale/sets needs the operator's" in answer["error"]["message"]


def test_a_node_agent_scales_by_itself_only_while_that_is_on(fleet: LiveFleet, client: FleetClient) -> None:
    status, answer = ask(fleet, "PUT", "scale/sets/processors", {"count": 2})
    assert status == 403
    assert "automatic scaling of them is off" in answer["error"]["message"]
    set_automatic(client, True)
    assert ask(fleet, "PUT", "scale/sets/processors", {"count": 2, "reason": "queue 62 %"})[0] == 200
    assert ask(fleet, "PUT", "scale/sets/others", {"count": 1})[0] == 403, "not the autoscaler's"
    assert [each.by for each in scaling(client).decisions][:1] == ["autoscaler"]
    assert scaling(client).automatic


@pytest.mark.parametrize("name", ["operator", "api"])
def test_a_node_agent_named_operator_is_a_node_agent(fleet: LiveFleet, client: FleetClient, name: str) -> None:
    assert ask(fleet, "PUT", "scale/sets/processors", {"count": 2}, name=name)[0] == 403
    assert ask(fleet, "PUT", "scale/automatic", {"on": True}, name=name)[0] == 403
    assert wanted(client) == 1


def test_a_persons_wish_needs_the_token_and_ends_automatic_scaling(fleet: LiveFleet, client: FleetClient) -> None:
    set_automatic(client, True)
    for token in ("open barley", "", digest(TOKEN).decode()):
        assert ask(fleet, "PUT", "scale/sets/processors", {"count": 2}, token=token)[0] == 403
    assert wanted(client) == 1
    status, answer = ask(fleet, "PUT", "scale/sets/processors", {"count": 2}, token=TOKEN)
    assert (status, answer["after"], answer["report"]["automatic"]) == (200, 2, False)
    assert scaling(client).decisions[0].by == "person"
    assert ask(fleet, "PUT", "scale/automatic", {"on": True})[0] == 403
    assert ask(fleet, "PUT", "scale/automatic", {"on": True}, token=TOKEN)[0] == 200
    assert scaling(client).automatic


def test_a_token_can_be_tried(fleet: LiveFleet) -> None:
    assert ask(fleet, "POST", "token", token=TOKEN) == (200, {})
    assert ask(fleet, "POST", "token", token="another")[0] == 403
    assert ask(fleet, "POST", "token")[0] == 403


@pytest.mark.parametrize("body", [{"count": "2"}, {"count": 1.5}, {"count": True}, {}, {"count": 2, "force": 1}, [2]])
def test_what_is_no_number_is_refused(fleet: LiveFleet, client: FleetClient, body: object) -> None:
    assert ask(fleet, "PUT", "scale/sets/processors", body, token=TOKEN)[0] == 400
    assert wanted(client) == 1


def test_whoever_waits_hears_of_a_change_of_the_record(client: FleetClient) -> None:
    before = scaling(client).revision
    set_automatic(client, True)
    assert client.units(after=before, wait_s=10).revision > before


def test_hosts_are_switched_with_the_token_where_they_run_on_one_machine(fleet: LiveFleet) -> None:
    inventory = Inventory(
        hosts=(InventoryHost(name="worker-1", address="", control=True), InventoryHost(name="worker-9", address="x"))
    )

    async def put() -> None:
        await fleet.store.put(INVENTORY, msgspec.json.encode(inventory))

    fleet.call(put)
    status, answer = ask(fleet, "GET", "hosts")
    assert status == 200
    assert [(host["name"], host["state"]) for host in answer["hosts"]] == [
        ("worker-1", "up"), ("worker-2", "up"), ("worker-3", "up"), ("worker-9", "lost")
    ]  # fmt: skip
    assert answer["hosts"][0]["offices"] == ["control host"]
    assert not answer["local"]
    assert ask(fleet, "POST", "hosts/worker-1/kill")[0] == 403
    assert ask(fleet, "POST", "hosts/worker-1/kill", token="another")[0] == 403
    assert ask(fleet, "POST", "hosts/worker-7/kill", token=TOKEN)[0] == 404
    assert ask(fleet, "POST", "hosts/worker-1/burn", token=TOKEN)[0] == 404
    status, answer = ask(fleet, "POST", "hosts/worker-1/kill", token=TOKEN)
    assert status == 409
    assert "machines of their own" in answer["error"]["message"]
