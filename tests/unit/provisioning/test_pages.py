"""Pages: two versions of a page on one path hand over to each other, and nobody waits for who still reads."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pelix.framework import Framework
from pelix.http import HTTP_SERVLET, HTTP_SERVLET_PATH

from inaetics.errors import Unavailable
from inaetics.provisioning.framework import FrameworkSettings, start_framework, stop_framework
from inaetics.provisioning.pages import query
from tests.support.etcd import free_subnet

PORT, SHELL = 8080, 2019


@pytest.fixture
def settings() -> FrameworkSettings:
    return FrameworkSettings(address=f"{free_subnet()}.10", page_port=PORT, shell_port=SHELL)


@pytest.fixture
def framework(settings: FrameworkSettings) -> Iterator[Framework]:
    started = start_framework(settings)
    yield started
    if started.get_state() == Framework.ACTIVE:
        stop_framework(started)


class Page:
    def __init__(self, text: str) -> None:
        self.text = text

    def do_GET(self, request: Any, response: Any) -> None:
        response.send_content(200, f"{self.text} {request.get_sub_path()} {query(request)}", "text/plain")


def serve(framework: Framework, text: str, *paths: str) -> Any:
    return framework.get_bundle_context().register_service(HTTP_SERVLET, Page(text), {HTTP_SERVLET_PATH: list(paths)})


def get(settings: FrameworkSettings, path: str) -> str:
    connection = http.client.HTTPConnection(settings.address, settings.page_port, timeout=20)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.read().decode() if answer.status == 200 else str(answer.status)
    finally:
        connection.close()


def test_newest_page_serves_and_gives_the_path_back(framework: Framework, settings: FrameworkSettings) -> None:
    old = serve(framework, "old", "/", "/statistics")
    assert get(settings, "/x/y") == "old /x/y {}"
    new = serve(framework, "new", "/statistics")
    assert get(settings, "/statistics") == "new / {}"
    assert get(settings, "/") == "old / {}"
    new.unregister()  # a version that did not start goes back
    assert get(settings, "/statistics") == "old / {}"
    newer = serve(framework, "newer", "/", "/statistics")
    old.unregister()  # or the old one goes, and the new one has the path
    assert get(settings, "/statistics/z") == "newer /z {}"
    newer.unregister()
    assert get(settings, "/statistics") == "404"


def test_path_is_served_at_every_moment_of_an_update(framework: Framework, settings: FrameworkSettings) -> None:
    registration = serve(framework, "0", "/")
    stop = threading.Event()
    seen: list[str] = []

    def look() -> None:
        while not stop.is_set():
            seen.append(get(settings, "/"))

    thread = threading.Thread(target=look)
    thread.start()
    for number in range(1, 40):
        successor = serve(framework, str(number), "/")
        registration.unregister()
        registration = successor
    stop.set()
    thread.join()
    assert seen
    assert "404" not in seen


def test_query_is_found_though_pelix_strips_it(framework: Framework, settings: FrameworkSettings) -> None:
    serve(framework, "page", "/")
    assert get(settings, "/a?x=1&y=%2F&x=2&z=") == "page /a {'x': '1', 'y': '/', 'z': ''}"


def test_stopping_does_not_wait_for_a_held_request(framework: Framework, settings: FrameworkSettings) -> None:
    entered, leave = threading.Event(), threading.Event()

    class Held:
        def do_GET(self, request: Any, response: Any) -> None:
            entered.set()
            leave.wait(60)

    framework.get_bundle_context().register_service(HTTP_SERVLET, Held(), {HTTP_SERVLET_PATH: "/"})
    connection = http.client.HTTPConnection(settings.address, settings.page_port, timeout=60)
    connection.request("GET", "/")
    assert entered.wait(20)
    began = time.monotonic()
    stop_framework(framework)
    assert time.monotonic() - began < 30, "it waited for the request"
    leave.set()
    connection.close()


@pytest.mark.parametrize("port", [PORT, SHELL])
def test_port_that_is_taken_is_named(settings: FrameworkSettings, port: int) -> None:
    words = rf"{settings.address}.*{port}.*in use"
    with socket.create_server((settings.address, port)), pytest.raises(Unavailable, match=words):
        start_framework(settings)
    stop_framework(start_framework(settings))  # nothing was left behind
