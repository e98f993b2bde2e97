"""The viewer's HTTP with everything around it made up: what pages are told, what people may do and what not."""

from __future__ import annotations

import http.client
import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from inaetics.demonstrator.api import Decision
from inaetics.demonstrator.bundles.viewer import controls, watch
from inaetics.demonstrator.bundles.viewer.streams import MOST
from inaetics.fleet.events import Kind
from inaetics.node.api import METRICS
from inaetics.node.health_page import of_bundles
from tests.support.events import Events
from tests.support.eventually import eventually
from tests.support.made_up import TOKEN, World
from tests.support.viewer import Stage

HANGING = "felix@4"


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """Eight agents, one of which never answers."""
    world = World(8, hanging=1)
    world.automatic = False  # what it decides would depend on how busy this machine is
    with Stage(world, speed=5) as stage:
        assert stage.world.fakes[HANGING].hangs
        with Events(stage.url) as page:
            page.next("points", lambda points: points["late"] == [HANGING])
        yield stage


Heard = tuple[int, Any, dict[str, str]]


def ask(
    stage: Stage, method: str, path: str, body: object = None, *, token: str | None = None, **headers: str
) -> Heard:
    """Status, JSON (or text) and headers of an answer. `body` is sent as JSON unless it is bytes."""
    connection = http.client.HTTPConnection(stage.url.removeprefix("http://"), timeout=30)
    sent = {"Authorization": f"Bearer {token}"} if token else {}
    if body is not None:
        sent["Content-Type"] = "application/json"
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(method, path, data, sent)
        answer = connection.getresponse()
        got = answer.read()
    finally:
        connection.close()
    found = {name.lower(): value for name, value in answer.getheaders()}
    return answer.status, json.loads(got) if "json" in found.get("content-type", "") else got.decode(), found


def do(stage: Stage, path: str, body: object) -> Any:
    """What a control answers that is used rightly."""
    status, answer, _ = ask(stage, "POST", path, body, token=TOKEN)
    assert status == 200, answer
    return answer


def test_a_page_is_told_everything_and_then_what_is_new(stage: Stage) -> None:
    with Events(stage.url) as page:
        assert (page.status, page.headers["content-type"]) == (200, "text/event-stream")
        hello = page.next("hello", lambda hello: HANGING in [agent["agent"] for agent in hello["agents"]])
        by_name = {agent["agent"]: agent for agent in hello["agents"]}
        assert by_name["felix@2"]["bundles"] == ["queue 1.0.0", "statistics 1.0.0"]
        assert [line["name"] for line in by_name["felix@2"]["series"]][:2] == ["queued", "in flight"]
        assert {each["kind"] for each in hello["scaling"]["sets"]} == {"producers", "processors"}
        assert len(hello["cluster"]["hosts"]) == 5
        points = page.next("points", lambda points: points["late"] == [HANGING])
        assert points["agents"].keys() == by_name.keys()
        assert all(len(points["agents"][name]) == len(agent["series"]) for name, agent in by_name.items())
        assert points["system"]["accounting"]["holds"] is True
        stored = page.next("points", lambda points: points["system"]["rates"]["stored"] > 0)
        assert stored["system"]["latency_ms"]["p99"] > 0


def test_the_same_as_json_and_for_prometheus(stage: Stage) -> None:
    shown = {"statistics": "agents", "systemStats": "accounting", "clusterInfo": "cluster", "utilisation": "percent"}
    for path, key in shown.items():
        status, body, headers = ask(stage, "GET", f"/{path}")
        assert (status, headers["cache-control"]) == (200, "no-store")
        assert key in body
    now_ms = ask(stage, "GET", "/statistics")[1]["time_ms"]
    later = ask(stage, "GET", f"/statistics/since/{now_ms}")[1]["agents"]
    assert all(point[0] > now_ms for agent in later for line in agent["series"] for point in line["points"])

    def late() -> dict[str, float]:
        """What Prometheus reads of it; a busy machine makes others late for a moment."""
        status, text, headers = ask(stage, "GET", "/metrics")
        assert (status, headers["content-type"].split(";")[0]) == (200, "text/plain")
        metrics = {family.name: family.samples for family in text_string_to_metric_families(text)}
        assert metrics["inaetics_demonstrator_accounting_holds"][0].value == 1
        return {s.labels["agent"]: s.value for s in metrics["inaetics_demonstrator_agent_late"]}

    expected = {**dict.fromkeys(stage.world.fakes, 0), HANGING: 1}
    eventually(lambda: late() == expected, within_s=20, what="who hangs is late, and nobody else")


def test_an_agents_own_metrics_carry_them_whatever_other_bundles_do(stage: Stage) -> None:
    class Broken:
        def metrics(self) -> None:
            raise OSError("no figures")

    registration = stage.context.register_service(METRICS, Broken(), {})
    try:
        names = {family.name for family in of_bundles(stage.context)}
    finally:
        registration.unregister()
    assert "inaetics_demonstrator_pages" in names


def test_the_page_and_its_files(stage: Stage) -> None:
    for path, kind in (("/", "text/html"), ("/theme.css", "text/css"), ("/icon.svg", "image/svg+xml")):
        status, _, headers = ask(stage, "GET", path)
        assert (status, headers["content-type"].split(";")[0]) == (200, kind)
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'self'; style-src 'self';")
        assert "unsafe" not in policy
        assert ask(stage, "GET", path, If_None_Match=headers["etag"])[:2] == (304, "")
        status, nothing, head = ask(stage, "HEAD", path)
        assert (status, nothing, head["content-length"]) == (200, "", headers["content-length"])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/component.py", 404),
        ("GET", "/statistics/since/yesterday", 404),
        ("POST", "/nothing", 404),
        ("DELETE", "/nothing", 404),
        ("GET", "/kill", 405),
        ("POST", "/", 405),
        ("POST", "/events", 405),
        ("PUT", "/utilisation", 405),
        ("OPTIONS", "/utilisation", 405),
    ],
)
def test_what_there_is_not(stage: Stage, method: str, path: str, status: int) -> None:
    got, body, headers = ask(stage, method, path)
    assert got == status
    assert body["error"]["code"] == status
    assert ("allow" in headers) == (status == 405)
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/utilisation", {"utilisation": -1}, "0 to 100 %"),
        ("/utilisation", {"utilisation": 101}, "0 to 100 %"),
        ("/utilisation", {"utilisation": "text"}, "a number from 0 to 100 %"),
        ("/utilisation", {"utilisation": True}, "a number from 0 to 100 %"),
        ("/utilisation", {"utilisation": None}, "a number from 0 to 100 %"),
        ("/utilisation", b'{"utilisation": NaN}', "malformed"),
        ("/utilisation", b'{"utilisation": 1e999}', "0 to 100 %|out of range"),
        ("/utilisation", {"utilization": 50}, "utilization"),
        ("/utilisation", [50], "object"),
        ("/utilisation", b"\xff\xfe", "understand"),
        ("/utilisation", b"[" * 4000, "understand"),
        ("/utilisation", b"", "understand"),
        ("/cost", {"us": 10_001}, "0 to 10000 µs"),
        ("/mode", {"mode": "sometimes"}, "periodic, burst"),
        ("/mode", {"mode": ["burst"]}, "periodic, burst"),
        ("/mode", {"mode": None}, "periodic, burst"),
        ("/mode", {"utilisation": 50}, "utilisation"),
        ("/scaleProcessor", {"count": 61}, "5 workers have room for 1 to 60"),
        ("/scaleProcessor", {"count": 0}, "1 to 60"),
        ("/scaleProcessor", {"change": -1000}, "1 to 60"),
        ("/scaleProducer", {"count": "four"}, "count"),
        ("/scaleProducer", {"count": 2, "change": 1}, "count"),
        ("/scaleProducer", {}, "count"),
        ("/automatic", {"on": "yes"}, "bool"),
        ("/kill", {"host": "worker-9"}, "worker-1, worker-2"),
        ("/kill", {"host": "../worker-1"}, "there is no such host"),
        ("/start", {"host": 3}, "host"),
        ("/token", {"token": "x"}, "token"),
    ],
)
def test_bad_input(stage: Stage, path: str, body: object, words: str) -> None:
    status, answer, _ = ask(stage, "POST", path, body, token=TOKEN)
    assert status == 400, answer
    assert any(each in answer["error"]["message"] for each in words.split("|")), answer


@pytest.mark.parametrize(
    "path", sorted(["/utilisation", "/cost", "/mode", "/scaleProducer", "/automatic", "/kill", "/token"])
)
def test_controls_need_the_token_and_json_and_this_page(stage: Stage, path: str) -> None:
    before = _by_people(stage)
    status, answer, headers = ask(stage, "POST", path, {})
    assert (status, headers["www-authenticate"]) == (401, "Bearer")
    assert "token" in answer["error"]["message"]
    assert ask(stage, "POST", path, {}, token="wrong")[0] == 401
    assert ask(stage, "POST", path, {}, Authorization=f"Basic {TOKEN}")[0] == 401
    assert ask(stage, "POST", path, b"{}", token=TOKEN, Content_Type="text/plain")[0] == 415
    for origin in ("http://elsewhere.example", "null", f"{stage.url}.elsewhere.example"):
        assert ask(stage, "POST", path, {}, token=TOKEN, Origin=origin)[0] == 403
    assert ask(stage, "POST", path, b" " * 5000, token=TOKEN)[0] == 413
    with suppress(ConnectionError):  # it hangs up on who goes on speaking, and then the answer may be lost
        assert ask(stage, "POST", path, b" " * 3_000_000, token=TOKEN)[0] == 413
    assert ask(stage, "POST", path, b"{}", token=TOKEN, Content_Length="-1")[0] == 400
    assert _by_people(stage) == before


def test_the_token_is_only_checked(stage: Stage) -> None:
    assert ask(stage, "POST", "/token", {}, token=TOKEN, Origin=stage.url)[0] == 200


def test_all_are_set_and_who_hangs_is_named(stage: Stage) -> None:
    with Events(stage.url) as page:
        assert do(stage, "/utilisation", {"utilisation": 35}) == {
            "percent": 35, "cost_us": 200, "mode": "periodic", "differ": [], "silent": [HANGING],
        }  # fmt: skip
        page.next("utilisation", lambda told: told["percent"] == 35)
        assert {fake.percent for fake in stage.world.fakes.values() if fake.role == "producer"} == {35}
        assert do(stage, "/cost", {"us": 150})["cost_us"] == 150
        page.next("utilisation", lambda told: (told["percent"], told["cost_us"]) == (35, 150))
    shown = {"percent": 35, "cost_us": 150, "mode": "periodic", "differ": []}
    assert ask(stage, "GET", "/utilisation")[1] == shown


def test_producers_in_bursts(stage: Stage) -> None:
    with Events(stage.url) as page:
        answer = do(stage, "/mode", {"mode": "burst"})
        assert (answer["mode"], answer["silent"]) == ("burst", [HANGING])
        assert stage.moded["celix@1"].mode == "burst"
        page.next("utilisation", lambda told: told["mode"] == "burst")
        stage.moded["celix@1"].mode = "periodic"  # as after a restart
        page.next("utilisation", lambda told: told["mode"] == "periodic")
        do(stage, "/mode", {"mode": "periodic"})


def test_scaling(stage: Stage) -> None:
    with Events(stage.url) as page:
        hello = page.next("hello")
        answer = do(stage, "/scaleProducer", {"count": 3})
        assert [each["wanted"] for each in answer["sets"] if each["kind"] == "producers"] == [3]
        told = page.next("scaling", lambda told: any(each["by"] == "person" for each in told["decisions"]))
        (made,) = [Decision(**each) for each in told["decisions"] if each["by"] == "person"]
        assert (made.kind, made.before, made.after) == ("producers", 1, 3)
        names = {agent["agent"] for agent in hello["agents"]}
        grown = page.next("hello", lambda hello: len(hello["agents"]) == len(names) + 2)
        fresh = [agent for agent in grown["agents"] if agent["agent"] not in names]
        assert [line["name"] for line in fresh[0]["series"]][:1] in ([], ["produced"])
        assert do(stage, "/automatic", {"on": True})["automatic"] is True
        assert do(stage, "/scaleProducer", {"change": -2})["automatic"] is False


def test_two_who_press_plus_at_once_get_two_more(stage: Stage) -> None:
    before = stage.world.wanted["processors"]
    threads = [threading.Thread(target=do, args=(stage, "/scaleProcessor", {"change": 1})) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stage.world.wanted["processors"] == before + 4
    do(stage, "/scaleProcessor", {"count": before})


def events_of(cluster: Any, kind: str) -> list[Any]:
    return [event for event in cluster["events"] if event["kind"] == kind]


def test_a_killed_worker_and_its_failover(stage: Stage) -> None:
    with Events(stage.url) as page:
        page.next("hello")
        do(stage, "/kill", {"host": "worker-4"})
        lost = page.next("cluster", lambda told: events_of(told, Kind.LEFT))
        assert {host["name"]: host["state"] for host in lost["hosts"]}["worker-4"] == "lost"
        moved = page.next("cluster", lambda told: events_of(told, Kind.FAILOVER))
        assert [step for step, _ in events_of(moved, Kind.FAILOVER)[0]["failover"]] == [
            "detected", "decided", "pulled", "started", "active",
        ]  # fmt: skip
        do(stage, "/start", {"host": "worker-4"})
        page.next("cluster", lambda told: all(host["state"] == "up" for host in told["hosts"]))


def test_a_coordinator_that_hangs(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def hang(*_: object, **__: object) -> None:
        released.wait()

    monkeypatch.setattr(watch, "SILENT_AFTER_S", 0.3)
    monkeypatch.setattr(controls, "SCALE_WITHIN_S", 0.3)
    for name in ("scaling", "scale"):
        monkeypatch.setattr(stage.world, name, hang)
    try:
        with Events(stage.url) as page:
            page.next("scaling", lambda told: told is None)
            status, answer, _ = ask(stage, "POST", "/scaleProducer", {"count": 2}, token=TOKEN)
            assert (status, "no answer within" in answer["error"]["message"]) == (503, True)
            page.next("points")
    finally:
        released.set()


def test_two_hundred_pages(stage: Stage) -> None:
    eventually(lambda: _pages(stage) == 0 or None, within_s=20, what="no page is open")
    threads = threading.active_count()
    with ExitStack() as closing:
        pages = [closing.enter_context(Events(stage.url)) for _ in range(200)]
        now_ms = pages[-1].next("points")["time_ms"]
        later = [page.next("points", lambda points: points["time_ms"] > now_ms) for page in pages]
        assert all(points == later[0] for points in later)
        assert threading.active_count() < threads + 100
        metrics = ask(stage, "GET", "/metrics")[1]
        assert "inaetics_demonstrator_pages 200\n" in metrics
    eventually(lambda: _pages(stage) == 0 or None, within_s=20, what="closed pages are let go of")


def test_more_pages_than_there_may_be(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    eventually(lambda: _pages(stage) == 0 or None, within_s=20, what="no page is open")
    monkeypatch.setattr("inaetics.demonstrator.bundles.viewer.streams.MOST", 2)
    assert MOST >= 200
    with Events(stage.url), Events(stage.url):
        status, answer, _ = ask(stage, "GET", "/events")
        assert (status, "no more than 2" in answer["error"]["message"]) == (503, True)


def _by_people(stage: Stage) -> list[Decision]:
    return [decision for decision in stage.world.scaling().decisions if decision.by == "person"]


def _pages(stage: Stage) -> int:
    return int(stage.viewer._streams.open)


def test_browsers_that_vanish_leave_nothing_behind(
    stage: Stage, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    host, _, port = stage.url.removeprefix("http://").partition(":")
    body = json.dumps({"utilisation": 35}).encode()
    head = f"Host: {host}:{port}\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
    post = f"POST /utilisation HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode()
    asks = [b"GET / HTTP/1.1\r\n\r\n", b"GET /events HTTP/1.1\r\n\r\n", post + body, post + body[:5], post[:20]]
    for ask_ in asks * 10:
        with socket.create_connection((host, int(port)), timeout=30) as rude:
            rude.sendall(ask_)
            rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closing resets it
    eventually(lambda: _pages(stage) == 0 or None, within_s=30, what="no page is open")
    eventually(lambda: not _serving() or None, within_s=30, what="nobody is served")
    said = "".join(capfd.readouterr()) + caplog.text
    assert "Traceback" not in said
    assert ask(stage, "GET", "/utilisation")[0] == 200


def _serving() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("HttpService-")]


def test_without_coordinator_and_cluster_the_page_goes_on(stage: Stage) -> None:
    with Events(stage.url) as page, stage.without_coordinator():
        page.next("cluster", lambda told: told is None)
        page.next("points")
        status, answer, _ = ask(stage, "POST", "/utilisation", {"utilisation": 1}, token="another")
        assert (status, "no coordinator" in answer["error"]["message"]) == (503, True)
        stage.viewer._controls._permits.note(TOKEN, now_s=time.monotonic() + 60)  # however slow this machine is
        status, answer, _ = ask(stage, "POST", "/kill", {"host": "worker-1"}, token=TOKEN)
        assert (status, "nothing is known of the cluster" in answer["error"]["message"]) == (503, True)
        with Events(stage.url) as another:
            hello = another.next("hello")
            assert (hello["scaling"], hello["cluster"]) == (None, None)
