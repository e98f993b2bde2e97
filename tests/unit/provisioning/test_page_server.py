"""Whoever connects to the pages: how slow, how many and how rude they may be."""

from __future__ import annotations

import http.client
import json
import logging
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import structlog
from pelix.http import HTTP_SERVLET, HTTP_SERVLET_PATH

from inaetics.provisioning import page_server
from inaetics.provisioning.framework import FrameworkSettings, start_framework, stop_framework
from tests.support.etcd import free_subnet
from tests.support.eventually import eventually

PORT = 8080
ABORT = struct.pack("ii", 1, 0)
"""SO_LINGER: a close that resets the connection."""


class Page:
    """Answers with what was sent, or with much, or not before it is let go."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.asked = 0

    def do_GET(self, request: Any, response: Any) -> None:
        self.asked += 1
        if request.get_path() == "/held":
            self.go_on.wait(60)
        if request.get_path() == "/fails":
            raise OSError("its own trouble")
        response.send_content(200, "x" * (30_000_000 if request.get_path() == "/much" else 3), "text/plain")

    def do_POST(self, request: Any, response: Any) -> None:
        self.asked += 1
        response.send_content(200, request.read_data().decode(), "text/plain")


Served = tuple[str, Page]


@pytest.fixture
def served() -> Iterator[Served]:
    address = f"{free_subnet()}.10"
    framework = start_framework(FrameworkSettings(address=address, page_port=PORT, shell_port=0))
    page = Page()
    framework.get_bundle_context().register_service(HTTP_SERVLET, page, {HTTP_SERVLET_PATH: "/"})
    yield address, page
    page.go_on.set()
    stop_framework(framework)


def connected(address: str) -> socket.socket:
    return socket.create_connection((address, PORT), timeout=30)


def get(address: str, path: str = "/") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(address, PORT, timeout=30)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def threads() -> int:
    return sum(thread.name.startswith("HttpService-") for thread in threading.enumerate())


@pytest.mark.parametrize(
    "half",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"GET / HT", id="half a line"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\n", id="half a head"),
        pytest.param(b"POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\nhalf", id="half a body"),
    ],
)
def test_half_a_request_is_waited_for_and_not_for_long(
    served: Served, half: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_server, "REQUEST_S", 0.5)
    with connected(served[0]) as slow:
        slow.sendall(half)
        while slow.recv(65536):
            pass  # it ends
    eventually(lambda: threads() == 0, within_s=20, what="its thread went home")


def test_who_drips_is_not_waited_for_either(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_server, "REQUEST_S", 1.0)
    ended = threading.Event()
    with connected(served[0]) as slow:

        def drip() -> None:
            try:
                slow.sendall(b"POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n")
                while not ended.wait(0.1):
                    slow.sendall(b".")
            except OSError:
                pass  # it was thrown out

        dripping = threading.Thread(target=drip)
        dripping.start()
        eventually(lambda: threads() == 1, within_s=20, what="it is served")
        eventually(lambda: threads() == 0, within_s=20, what="and thrown out, though it never paused for long")
        ended.set()
        dripping.join()
    assert get(served[0]) == (200, b"xxx")


def test_many_at_once_are_refused_with_a_sentence_and_served_later(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, page = served
    with ExitStack() as held:
        for _ in range(page_server.MOST):
            held.enter_context(connected(address)).sendall(b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n")
        eventually(lambda: page.asked == page_server.MOST, within_s=60, what="all are being served")
        status, body = get(address)
        assert (status, json.loads(body)["error"]["code"]) == (503, 503)
        assert "try again in a moment" in json.loads(body)["error"]["message"]
        assert threads() == page_server.MOST
        page.go_on.set()
    eventually(lambda: threads() == 0, within_s=60, what="they are done")
    assert get(address)[0] == 200


def test_three_hundred_half_sent_requests_do_not_keep_the_page_from_others(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_server, "REQUEST_S", 3.0)
    address, _ = served
    with ExitStack() as rude:
        for _ in range(300):
            rude.enter_context(connected(address)).sendall(b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n")
        assert threads() <= page_server.MOST
        eventually(lambda: get(address)[0] == 200, within_s=30, what="somebody else is served")


def test_who_takes_nothing_of_an_answer_is_left(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_server, "ANSWER_S", 0.5)
    with connected(served[0]) as deaf:
        deaf.sendall(b"GET /much HTTP/1.1\r\n\r\n")
        eventually(lambda: served[1].asked, within_s=20, what="it is served")
        eventually(lambda: threads() == 0, within_s=20, what="its thread went home")


def test_browsers_that_vanish_leave_no_trace_and_mistakes_do(
    served: Served, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    address, page = served
    caplog.set_level(logging.DEBUG)
    asks = [
        b"",
        b"GET / HT",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /much HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\nhalf",
        b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nfull",
    ]
    with structlog.testing.capture_logs() as logs:
        for ask in asks * 5:
            with connected(address) as rude:
                rude.sendall(ask)
                if b"much" in ask:
                    rude.recv(10)
                rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
        eventually(lambda: threads() == 0, within_s=30, what="all have gone")
        time.sleep(0.1)
    said = "".join(capfd.readouterr()) + caplog.text + str([log for log in logs if log["log_level"] != "debug"])
    assert "Traceback" not in said
    assert said.replace("[]", "") == ""
    assert page.asked > 5
    assert get(address, "/fails")[0] == 500
    assert "its own trouble" in caplog.text, "a servlet's own trouble is told"
