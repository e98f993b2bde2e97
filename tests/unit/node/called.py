"""A provider with a service to be called, and a caller of it, in this process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from inaetics.node.remote.calls import CurrentCall, current_call
from inaetics.node.remote.client import Peer
from inaetics.node.remote.endpoints import Endpoints
from inaetics.node.remote.proxies import Proxy, RemoteService, asynchronous
from inaetics.node.remote.server import Server

ADDRESS = "127.0.0.1"


class Service:
    """What is called in these tests."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.leave = threading.Event()
        self.noted: list[Any] = []
        self.calls: list[CurrentCall | None] = []
        self.later: Future[Any] = Future()

    def echo(self, value: Any) -> Any:
        return value

    def note(self, value: Any) -> None:
        self.noted.append(value)

    def wait(self) -> str:
        self.calls.append(current_call())
        self.entered.release()
        assert self.leave.wait(20)
        return "left"

    def promise(self) -> Future[Any]:
        self.calls.append(current_call())
        self.entered.release()
        return self.later

    def until_cancelled(self) -> str:
        cancelled = threading.Event()
        call = current_call()
        assert call is not None
        call.when_cancelled(cancelled.set)
        self.entered.release()
        self.noted.append(cancelled.wait(20))
        return "nobody hears this"


class Site:
    """A provider with one service, and a caller of it."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.endpoints = Endpoints()
        self.endpoints.add("e", service)
        self.server = Server(ADDRESS, "provider", self.endpoints, None)
        self.port = self.server.start()
        self.peer = Peer(ADDRESS, self.port, framework="provider", me="caller", tls=None)
        self.proxy = Proxy(RemoteService(self.peer, "e", timeout_s=10.0), futures=True)
        self.later = asynchronous(self.proxy)

    def entered(self, count: int = 1) -> None:
        for _ in range(count):
            assert self.service.entered.acquire(timeout=10)

    def close(self) -> None:
        self.service.leave.set()
        self.peer.close()
        self.server.stop()


@contextmanager
def making() -> Iterator[Site]:
    made = Site(Service())
    try:
        yield made
    finally:
        made.close()
