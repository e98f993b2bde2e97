"""A provisioning server as a process: what it registers, serves and holds, and how it ends."""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import socket
import threading
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from tests.support.agents import PAGE_PORT, SHELL_PORT, Program, Site
from tests.support.bundles import packed
from tests.support.eventually import eventually

REGISTERED = "/inaetics/node-provisioning-service/"


@pytest.fixture
def bundles(site: Site, tmp_path: Path) -> Site:
    for name, version in (("a", "1.0.0"), ("a", "1.1.0"), ("b", "1.0.0")):
        packed(tmp_path, name, version)
    site.map_all(x=["a@1.0.0"], y=["b"])
    return site


def in_force(server: Program, count: int = 1) -> None:
    eventually(lambda: len(server.said("mapping in force")) >= count, within_s=60, what="the mapping is in force")
    eventually(lambda: server.said("archives ready"), within_s=60, what="its bundles can be given")


def registered(site: Site) -> list[str]:
    return [json.loads(value)["url"] for value in site.values(REGISTERED)]


def agents_get(site: Site, path: str, *, timeout_s: float = 30) -> tuple[int, bytes]:
    """One request to the port for agents."""
    parts = urlsplit(site.agents_url())
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_s)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def held(site: Site, server: Program, target: str, after: str, answers: list[tuple[int, bytes]]) -> threading.Thread:
    path = f"/deployments/{quote(target)}?after={after}&wait_s=20"
    thread = threading.Thread(target=lambda: answers.append(agents_get(site, path)))
    thread.start()
    eventually(lambda: _held_there(server), within_s=60, what="the question is held")
    return thread


def _held_there(server: Program) -> bool:
    return any(target["there"] for target in server.json("/overview")["targets"])


def test_deployments_and_bundles_are_what_the_mapping_says(bundles: Site) -> None:
    server = bundles.provisioning()
    in_force(server)
    deployment = server.json("/deployments/x")
    assert [bundle["version"] for bundle in deployment["bundles"]] == ["1.0.0"]
    (bundle,) = deployment["bundles"]
    status, body = agents_get(bundles, bundle["url"])
    assert status == 200
    assert server.get(bundle["url"])[0] == 404, "the page's port is open to everybody"
    assert hashlib.sha256(body).hexdigest() == bundle["sha256"]
    assert server.json("/deployments/nobody")["bundles"] == []


@pytest.mark.parametrize(
    ("path", "status"),
    [
        pytest.param("/nowhere", 404, id="no such page"),
        pytest.param("/bundles/a/1.0.0", 404, id="no archives for everybody"),
        pytest.param("/deployments/..%2f..%2fetc", 400, id="a path is no target"),
        pytest.param("/../../etc/passwd", 400, id="a path that climbs"),
        pytest.param("/overview?wait_s=soon", 400, id="no number"),
        pytest.param("/overview?after=x", 400, id="no revision"),
    ],
)
def test_what_is_not_there_is_said(bundles: Site, path: str, status: int) -> None:
    server = bundles.provisioning()
    in_force(server)
    assert server.get(path)[0] == status


def test_change_of_mapping_answers_held_questions(bundles: Site) -> None:
    server = bundles.provisioning()
    in_force(server)
    before = server.json("/deployments/x")
    answers: list[tuple[int, bytes]] = []
    thread = held(bundles, server, "x", before["version"], answers)
    bundles.map_all(x=["a"])
    thread.join(15)
    status, body = answers[0]
    assert status == 200
    assert json.loads(body)["bundles"][0]["version"] == "1.1.0"


def test_bad_mapping_is_shown_and_changes_nothing(bundles: Site) -> None:
    server = bundles.provisioning()
    in_force(server)
    before = server.json("/deployments/x")
    bundles.map_all(x=["aa"])
    eventually(lambda: "did you mean" in server.json("/overview")["error"], within_s=60, what="it says what is wrong")
    assert server.json("/deployments/x") == before


def test_bad_mapping_at_the_start_deploys_nothing_rather_than_the_shipped_one(bundles: Site) -> None:
    bundles.set_mapping("rules = 1")
    server = bundles.provisioning()
    eventually(lambda: server.said("mapping refused, the one before stays"), within_s=60, what="it is refused")
    status, body = server.get("/deployments/x")
    assert status == 503
    assert b"rules" in body


def test_two_servers_say_the_same(bundles: Site) -> None:
    one, two = bundles.provisioning(number=1), bundles.provisioning(number=2)
    in_force(one)
    in_force(two)
    eventually(lambda: len(registered(bundles)) == 2, within_s=60, what="both are registered")
    assert one.json("/deployments/x") == two.json("/deployments/x")


def test_sigterm_withdraws_answers_and_exits_in_time(bundles: Site) -> None:
    server = bundles.provisioning()
    in_force(server)
    eventually(lambda: registered(bundles), within_s=60, what="it is registered")
    assert registered(bundles) == [f"http://{server.address}:{PAGE_PORT}"]
    answers: list[tuple[int, bytes]] = []
    thread = held(bundles, server, "x", server.json("/deployments/x")["version"], answers)
    status, took_s = server.stop()
    thread.join(10)
    assert (status, registered(bundles)) == (0, [])
    assert took_s < 10
    assert [answer[0] for answer in answers] == [503]


def test_killed_server_is_forgotten_with_its_lease(bundles: Site) -> None:
    server = bundles.provisioning()
    eventually(lambda: registered(bundles), within_s=60, what="it is registered")
    server.kill()
    eventually(lambda: not registered(bundles), within_s=30, what="its registration is gone")
    assert not server.said("stopping"), "it went by itself, not because of a kill that was none"


def test_shell_answers_on_its_port(bundles: Site) -> None:
    server = bundles.provisioning()
    in_force(server)
    with socket.create_connection((server.address, SHELL_PORT), timeout=5) as stream:
        stream.sendall(b"bl\nquit\n")
        said = b""
        while chunk := stream.recv(4096):
            said += chunk
    assert re.search(rb"pelix\.ipopo\.core.*ACTIVE", said)


def test_with_nothing_to_deploy_it_says_so(site: Site) -> None:
    server = site.provisioning()
    eventually(lambda: "nothing to deploy yet" in server.json("/overview")["error"], within_s=60, what="it says so")
    status, body = server.get("/deployments/x")
    assert status == 503
    assert b"inaetics bundle push" in body
