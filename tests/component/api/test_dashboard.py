"""The cluster's page in a browser, the way to it, and the demonstrator's page behind it."""

from __future__ import annotations

import http.client
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal

import msgspec
import pytest
from playwright.sync_api import Browser, Page, expect
from typing_extensions import override

from inaetics.api import gateway as gateway_module
from inaetics.api import unit_pages
from inaetics.api.client import FleetClient
from inaetics.api.gateway import COOKIE, MOST_STRANGERS, VERSIONS, Gateway, _Handler
from inaetics.api.hosts_wire import INVENTORY, Inventory, InventoryHost
from inaetics.api.machines_wire import MachineChange
from inaetics.cli.fleetctl_commands.machine_arguments import change, forget
from tests.component.api.live import LiveFleet
from tests.component.api.test_fleet_v1 import ask
from tests.support.browser import chromium, faultless, lent, within
from tests.support.eventually import eventually
from tests.support.made_up import TOKEN, World
from tests.support.readable import faint_texts
from tests.support.viewer import Stage

EXPECTED = ("Failed to load resource",)
"""What the browser says of a request that is refused: some tests are about just that."""

SCREENSHOTS = Path(__file__).parents[3] / "build" / "screenshots"
"""For people: the tests make them, and only eyes judge them."""

SCREENS: dict[str, tuple[int, int, Literal["light", "dark"]]] = {
    "light": (1400, 1000, "light"),
    "dark": (1400, 1000, "dark"),
    "wall": (2560, 1440, "dark"),
    "phone": (360, 740, "dark"),
    "phone-light": (360, 740, "light"),
}

LONG = "a-unit-with-quite-a-long-name-that-may-spill@1234567890"
SERVICE = "[Unit]\nDescription=Says hello\n[Service]\nExecStart=/bin/sleep 1000\n"


@pytest.fixture(scope="module")
def gateway(running: LiveFleet) -> Iterator[Gateway]:
    with Gateway(lambda: ((f"unix://{running.socket}",), None), token=lambda: TOKEN) as gateway:
        thread = threading.Thread(target=gateway.serve_forever)
        thread.start()
        yield gateway
        gateway.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, gateway: Gateway) -> Iterator[Page]:
    """The page, opened as a person opens it."""
    with lent(browser, expected=EXPECTED) as page:
        page.goto(gateway.url)
        expect(page.locator("#live")).to_have_attribute("data-state", "live")
        yield page


@pytest.fixture
def timed(browser: Browser, gateway: Gateway) -> Iterator[Page]:
    """The page with a clock that the test sets."""
    with faultless(browser, expected=EXPECTED) as page:
        page.goto(gateway.url)
        expect(page.locator("#live")).to_have_attribute("data-state", "live")
        page.clock.install()
        yield page


def expected_hosts(fleet: LiveFleet, *names: str) -> None:
    """What `up` would have written down."""
    hosts = tuple(InventoryHost(name=name, address="127.0.0.1") for name in names)

    async def put() -> None:
        await fleet.store.put(INVENTORY, msgspec.json.encode(Inventory(hosts=hosts)))

    fleet.call(put)


def request(
    gateway: Gateway,
    method: str,
    path: str,
    *,
    key: str | None = None,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.server_port, timeout=20)
    named = dict(headers or {})
    if key is not None:
        named["Cookie"] = f"{COOKIE}={key}"
    try:
        connection.request(method, path, body, named)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def test_it_shows_machines_units_and_why_they_wait(page: Page, client: FleetClient) -> None:
    expect(page.locator("[data-machine]")).to_have_count(3)
    client.submit("hello.service", SERVICE, desired="launched")
    client.submit("far.service", SERVICE + "[X-Fleet]\nMachineMetadata=place=moon\n", desired="launched")
    expect(page.locator("[data-machine] [data-unit='hello.service'][data-active=active]")).to_have_count(1)
    row = page.locator("[data-row='hello.service']")
    expect(row).to_contain_text("active")
    expect(row).to_contain_text("worker-")
    expect(page.get_by_label("Waiting units")).to_contain_text("far")
    page.get_by_label("Filter units").fill("far")
    expect(page.locator("#units tr")).to_have_count(1)
    page.locator("#units button").click()
    expect(page.locator("#panel-why")).to_contain_text("does not fit")
    expect(page.locator("#panel-why")).to_contain_text("place=moon")
    page.keyboard.press("Escape")
    expect(page.locator("#details")).not_to_be_visible()


def test_a_unit_that_goes_leaves_the_page(page: Page, client: FleetClient) -> None:
    client.submit("brief.service", SERVICE, desired="launched")
    expect(page.locator("[data-row='brief.service']")).to_have_count(1)
    client.destroy("brief.service")
    expect(page.locator("[data-row='brief.service']")).to_have_count(0)
    expect(page.locator("#events [data-kind=destroyed]").first).to_contain_text("brief.service")


def test_an_event_of_a_machine_names_it(page: Page, client: FleetClient) -> None:
    change(client, "worker-2", MachineChange(metadata={"zone": "a"}))
    told = page.locator("#events [data-kind=metadata]").first
    expect(told).to_contain_text("worker-2")
    expect(told).to_contain_text("zone=a")
    change(client, "worker-2", MachineChange(metadata={"zone": None}))


def test_the_keyboard_reaches_journal_and_file(page: Page, fleet: LiveFleet, client: FleetClient) -> None:
    fleet.script.journals["talk.service"] = ["one", "two <b>three</b>"]
    fleet.script.followers.clear()
    client.submit("talk.service", SERVICE, desired="launched")
    page.locator("#units [data-unit='talk.service']").focus()
    page.keyboard.press("Enter")
    page.locator("#tab-why").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#journal")).to_have_text("one\ntwo <b>three</b>")
    fleet._loop.call_soon_threadsafe(fleet.script.followers.set)
    expect(page.locator("#journal")).to_contain_text("and then this")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#unit-events [data-kind=active]")).to_have_count(1)
    page.keyboard.press("ArrowRight")
    expect(page.locator("#file")).to_have_text(SERVICE)


def test_a_lost_machine_stays_with_what_it_ran_and_where_that_went_until_it_is_forgotten(
    page: Page, fleet: LiveFleet, client: FleetClient
) -> None:
    expected_hosts(fleet, "worker-1", "worker-2", "worker-3")
    client.submit("bound.service", f"{SERVICE}[X-Fleet]\nMachineID={2:032x}\n", desired="launched")
    client.submit("free.service", f"{SERVICE}[X-Fleet]\nMachineOf=bound.service\n", desired="launched")
    expect(page.locator("[data-machine='worker-2'] [data-unit='free.service'][data-active=active]")).to_have_count(1)
    client.submit("free.service", SERVICE, desired="launched", replace=True)  # it stays where it is
    card = page.locator("[data-machine='worker-2']")
    with fleet.lost("worker-2"):
        expect(card).to_have_attribute("data-state", "lost")
        expect(card).to_contain_text(re.compile(r"lost \d+ s ago"))
        expect(page.locator("#live-text")).to_contain_text("2 of 3 machines")
        expect(card.locator("[data-went='free.service'][data-active=active]")).to_contain_text(
            re.compile("→ worker-[13]")
        )
        expect(card.locator("[data-went='bound.service'][data-active=waits]")).to_contain_text("waits for a machine")
        card.locator("[data-went='free.service']").click()
        expect(page.locator("#details-title")).to_have_text("free.service")
        page.keyboard.press("Escape")
        forget(client, "worker-2")
        expect(card).to_have_count(0)
    expect(card).not_to_have_attribute("data-state", "lost")
    expect(page.locator("#live-text")).to_contain_text("live · 3 machines")


def test_a_page_that_nobody_sees_holds_no_connection(timed: Page, client: FleetClient) -> None:
    """A browser has six for all tabs together."""
    page = timed
    page.evaluate("""() => {
        Object.defineProperty(document, 'hidden', { get: () => window.hides ?? false });
        window.hides = true;
        document.dispatchEvent(new Event('visibilitychange'));
    }""")
    page.clock.fast_forward(6_000)
    expect(page.locator("#live-text")).to_have_text("rests: nobody looks")
    client.submit("unseen.service", SERVICE, desired="launched")
    eventually(lambda: client.unit("unseen.service").unit.active == "active", within_s=20, what="it runs")
    expect(page.locator("[data-row='unseen.service']")).to_have_count(0)
    page.evaluate("() => { window.hides = false; document.dispatchEvent(new Event('visibilitychange')); }")
    expect(page.locator("[data-row='unseen.service']")).to_contain_text("active")
    page.clock.run_for(1_000)
    expect(page.locator("#events [data-kind=active]").first).to_contain_text("unseen.service")


def test_events_go_on_after_nobody_answered(browser: Browser, gateway: Gateway, client: FleetClient) -> None:
    """An answer that is an error ends what a browser follows; the page asks anew."""
    with faultless(browser, expected=EXPECTED) as page:
        page.route("**/events?*", lambda route: route.fulfill(status=502, body="nobody"))
        page.goto(gateway.url)
        expect(page.locator("#live")).to_have_attribute("data-state", "live")
        client.submit("told.service", SERVICE, desired="launched")
        expect(page.locator("#events")).not_to_contain_text("told.service")
        page.unroute("**/events?*")
        expect(page.locator("#events [data-kind=active]").first).to_contain_text("told.service")


def test_it_says_when_the_store_is_silent(page: Page, fleet: LiveFleet) -> None:
    with fleet.outage():
        expect(page.locator("#live")).to_have_attribute("data-state", "lost", timeout=40_000)
        expect(page.locator("#live-text")).to_contain_text("out of date")
    expect(page.locator("#live")).to_have_attribute("data-state", "live", timeout=40_000)


def test_every_change_is_told_to_who_asks(page: Page, client: FleetClient) -> None:
    client.submit("asked.service", SERVICE, desired="inactive")
    client.set_desired("asked.service", "launched")
    of_it = page.locator("#events li:has-text('asked')")
    expect(of_it.and_(page.locator("[data-kind=active]"))).to_have_count(1)
    small = of_it.and_(page.locator("[data-kind=wanted]"))
    expect(small).to_have_count(0)
    page.get_by_label("every change").check()
    expect(small).to_contain_text("launched is wanted (was inactive)")
    page.get_by_label("every change").uncheck()
    expect(small).to_have_count(0)


def test_pictures(page: Page, fleet: LiveFleet, client: FleetClient) -> None:
    """Nothing is wider than the screen; the pictures are there to be looked at."""
    expected_hosts(fleet, "worker-1", "worker-2", "worker-3")
    fleet.script.starts_in_s = (0.03, 0.4, 1.3)
    fleet.report("broken.service", "failed", "failed", "exit-code", "its main process ended with status 3")
    for name in (*(f"{kind}@{n}" for kind in ("celix", "felix") for n in range(1, 5)), "provisioning", "broken", LONG):
        client.submit(f"{name}.service", SERVICE, desired="launched")
    client.submit("far.service", SERVICE + "[X-Fleet]\nMachineMetadata=place=moon\n", desired="launched")
    expect(page.locator("#units tr")).to_have_count(12)
    expect(page.locator("[data-machine=worker-2] [data-active=active]").first).to_be_visible()
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with fleet.lost("worker-2"):
        told = page.locator("#events [data-kind=failover] .steps").first
        steps = r"detected → decided \+\d+ ms → pulled \+\d+ ms → started \+\d+ ms → active \+\d+ ms"
        expect(told).to_have_text(re.compile(f"^{steps}$"), timeout=40_000)
        expect(page.locator("[data-machine='worker-2'] [data-went][data-active=active]").first).to_be_visible()
        for name, (width, height, scheme) in SCREENS.items():
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": height})
            within(page, width)
            assert faint_texts(page) == [], name
            page.screenshot(path=SCREENSHOTS / f"cluster-{name}.png", full_page=True)
    page.locator("#units [data-unit='far.service']").click()
    expect(page.locator("#panel-why")).to_contain_text("does not fit")
    page.screenshot(path=SCREENSHOTS / "cluster-why-phone.png")
    page.set_viewport_size({"width": 1400, "height": 900})
    page.screenshot(path=SCREENSHOTS / "cluster-why.png")


@pytest.mark.parametrize(
    ("method", "path", "given", "status"),
    [
        pytest.param("GET", "/dashboard/", {}, 403, id="no key"),
        pytest.param("GET", "/?key=guess", {}, 403, id="a wrong key"),
        pytest.param("GET", "/dashboard/", {"key": "guess"}, 403, id="a wrong cookie"),
        pytest.param("GET", "/dashboard/", {"Host": "evil.example"}, 421, id="another name for our address"),
        pytest.param("PUT", "/inaetics/v1/units/x.service", {"own": "yes"}, 501, id="a change by PUT"),
        pytest.param("DELETE", "/inaetics/v1/units/x.service", {"own": "yes"}, 501, id="a change by DELETE"),
        pytest.param("POST", "/inaetics/v1/rebalance", {"own": "yes"}, 403, id="a change by POST"),
        pytest.param("POST", "/demonstrator/x", {"own": "yes"}, 403, id="a page elsewhere that posts"),
        pytest.param("POST", VERSIONS, {"own": "yes"}, 403, id="a page elsewhere that changes what agents run"),
        pytest.param("GET", "/dashboard/nothing", {"own": "yes"}, 404, id="no such file"),
        pytest.param("GET", "/dashboard/../__init__.py", {"own": "yes"}, 404, id="a way out of the folder"),
    ],
)
def test_who_may_pass(gateway: Gateway, method: str, path: str, given: dict[str, str], status: int) -> None:
    headers = {name: value for name, value in given.items() if name == "Host"}
    key = gateway.key if given.get("own") else given.get("key")
    body = b"{}" if method == "POST" else None
    assert request(gateway, method, path, key=key, body=body, headers=headers)[0] == status


def test_the_key_becomes_a_cookie_that_scripts_do_not_see(gateway: Gateway) -> None:
    status, headers, _ = request(gateway, "GET", f"/?key={gateway.key}")
    assert (status, headers["Location"]) == (303, "/dashboard/")
    assert headers["Set-Cookie"] == f"{COOKIE}={gateway.key}; Path=/; HttpOnly; SameSite=Strict"


def test_a_browser_at_the_root_is_sent_to_the_page(running: LiveFleet) -> None:
    assert ask(running, "GET", "/", Accept="text/html").status == 307
    assert ask(running, "GET", "/").status == 405


def test_the_next_control_host_is_asked(running: LiveFleet) -> None:
    gone = running.socket.with_name("gone.sock")
    with Gateway(lambda: ((f"unix://{gone}", f"unix://{running.socket}"), None)) as gateway:
        thread = threading.Thread(target=gateway.serve_forever)
        thread.start()
        try:
            assert request(gateway, "GET", "/inaetics/v1/health", key=gateway.key)[0] == 200
        finally:
            gateway.shutdown()
            thread.join()


class Door:
    """A way of its own, and connections to it."""

    def __init__(self, running: LiveFleet, stack: ExitStack) -> None:
        self._stack = stack
        self.gateway = stack.enter_context(Gateway(lambda: ((f"unix://{running.socket}",), None)))
        thread = threading.Thread(target=self.gateway.serve_forever)
        thread.start()
        stack.callback(thread.join)
        stack.callback(self.gateway.shutdown)

    def knock(self, said: bytes = b"") -> socket.socket:
        knocking = self._stack.enter_context(socket.create_connection(("127.0.0.1", self.gateway.server_port)))
        knocking.settimeout(20)
        knocking.sendall(said)
        return knocking

    def look(self) -> http.client.HTTPConnection:
        """A browser's connection, open after its first answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.server_port, timeout=20)
        self._stack.callback(connection.close)
        self.look_again(connection)
        return connection

    def look_again(self, connection: http.client.HTTPConnection) -> None:
        connection.request("GET", "/dashboard/icon.svg", headers={"Cookie": f"{COOKIE}={self.gateway.key}"})
        answer = connection.getresponse()
        assert (answer.status, answer.read()[:4]) == (200, b"<svg")


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_who_does_not_know_the_key_keeps_nobody_out(
    running: LiveFleet, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Handler, "timeout", 300.0)  # it is not their time that ends them here
    door = Door(running, stack)
    crowd = [door.knock() for _ in range(MOST_STRANGERS)]
    drips = [door.knock(b"GET /dashboard/ HTTP/1.1\r\n") for _ in range(MOST_STRANGERS)]
    assert request(door.gateway, "GET", "/inaetics/v1/health", key=door.gateway.key)[0] == 200
    assert [each.recv(1) for each in crowd] == [b""] * MOST_STRANGERS, "they made room"
    assert drips


def test_who_says_nothing_is_let_go_of(running: LiveFleet, stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Handler, "timeout", 1.0)
    door = Door(running, stack)
    assert door.knock(b"GET /dashb").recv(1) == b""
    looking = door.look()
    eventually(lambda: not len(door.gateway.strangers), within_s=20, what="nobody is a stranger any more")
    assert door.knock(b"GET /dashb").recv(1) == b"", "the time of strangers has gone by once more"
    door.look_again(looking)


def test_no_more_connections_than_there_may_be(
    running: LiveFleet, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_module, "MOST", 2)
    door = Door(running, stack)
    first = door.look()
    door.look()
    status, _, words = request(door.gateway, "GET", "/dashboard/", key=door.gateway.key)
    assert (status, b"2 connections are open" in words) == (503, True)
    first.close()
    eventually(
        lambda: request(door.gateway, "GET", "/dashboard/", key=door.gateway.key)[0] == 200, within_s=20, what="ok"
    )


class Viewer(BaseHTTPRequestHandler):
    """Stands for the demonstrator's page."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._say(f"GET {self.path} {self.headers.get('Cookie')}".encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/kill":  # its own worker
            self.close_connection = True
            return
        self._say(f"POST {self.path} {self.headers.get('Authorization')} ".encode() + body)

    def _say(self, text: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Be quiet."""


@contextmanager
def viewer_on(address: str) -> Iterator[None]:
    server = ThreadingHTTPServer((address, unit_pages.PORT), Viewer)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_the_demonstrators_page_is_found_wherever_it_runs(
    gateway: Gateway, fleet: LiveFleet, client: FleetClient
) -> None:
    def get(path: str, accept: str = "*/*") -> tuple[int, bytes]:
        status, _, body = request(gateway, "GET", path, key=gateway.key, headers={"Accept": accept})
        return status, body

    status, body = get("/demonstrator/")
    assert (status, b"not submitted" in body) == (503, True)
    for number in (1, 3):
        text = f"{SERVICE}[X-Fleet]\nMachineID={number:032x}\n"
        client.submit("felix@1.service", text, desired="launched", replace=True)
        eventually(lambda: b"does not answer on port" in get("/demonstrator/")[1], within_s=20, what="nobody serves")
        status, body = get("/demonstrator/", accept="text/html")
        assert (status, b"tries again" in body) == (503, True)
        with viewer_on(fleet.addresses[number - 1]):
            # The key of the way here is not passed on.
            expected = (200, b"GET /statistics/since/5?a=b None")
            eventually(lambda e=expected: get("/demonstrator/statistics/since/5?a=b") == e, within_s=20, what="served")  # type: ignore[misc]
            # A page that has no token is given the cluster's; one that has keeps its own.
            headers = {"Origin": gateway.origin}
            for given, token in (({}, TOKEN.encode()), ({"Authorization": "Bearer t"}, b"t")):
                answer = request(
                    gateway, "POST", "/demonstrator/utilisation", key=gateway.key, body=b"5", headers=headers | given
                )
                assert (answer[0], answer[2]) == (200, b"POST /utilisation Bearer %b 5" % token)
            answer = request(gateway, "POST", "/demonstrator/kill", key=gateway.key, body=b"{}", headers=headers)
            assert (answer[0], b"closed the connection without an answer" in answer[2]) == (503, True)


def test_the_demonstrators_page_lives_and_is_used_through_it_wherever_it_runs(
    browser: Browser, gateway: Gateway, fleet: LiveFleet, client: FleetClient
) -> None:
    def runs_on(number: int) -> None:
        text = f"{SERVICE}[X-Fleet]\nMachineID={number:032x}\n"
        client.submit("felix@1.service", text, desired="launched", replace=True)

    runs_on(1)
    with faultless(browser, expected=(*EXPECTED, "ERR_")) as page:
        with Stage(World(6), address=fleet.addresses[0], port=unit_pages.PORT):
            page.goto(gateway.url)
            page.get_by_role("link", name="the demonstrator").click()
            expect(page.locator("#live")).to_have_attribute("data-state", "live", timeout=40_000)
            page.get_by_role("button", name="One more of the processors").click()
            expect(page.locator("#processors-count")).to_have_text("4")  # nobody was asked for a token
            expect(page.locator("#ask")).to_be_hidden()
        expect(page.locator("#live")).to_have_attribute("data-state", "lost")
        runs_on(3)
        with Stage(World(7), address=fleet.addresses[2], port=unit_pages.PORT):
            expect(page.locator("#live")).to_have_attribute("data-state", "live", timeout=40_000)
            expect(page.locator("#live-text")).to_contain_text("7 agents")
            page.get_by_role("link", name="the cluster", exact=True).click()
            expect(page.locator("[data-machine='worker-3'] [data-unit='felix@1.service']")).to_have_count(1)
