"""What a provisioning server may make an agent wait for."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from inaetics.bundles.exchange import DeployedBundle
from inaetics.errors import Unavailable
from inaetics.node import provisioning_client
from inaetics.node.provisioning_client import ProvisioningClient

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"


@contextmanager
def dripping(begin: bytes) -> Iterator[str]:
    """A server that answers everything with `begin` and then a byte now and then, for ever."""
    ended = threading.Event()

    def serve() -> None:
        with suppress(OSError):
            while not ended.is_set():
                connection, _ = listening.accept()
                with connection, suppress(OSError):
                    connection.recv(10_000)
                    connection.sendall(begin)
                    while not ended.wait(0.02):
                        connection.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(30)
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            ended.set()
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize("begin", [b"", b"HTTP/1.1 200 OK\r\nX-More: ", HEAD], ids=["status", "header", "body"])
@pytest.mark.parametrize("asks", ["deployment", "fetch"])
def test_an_answer_that_comes_byte_by_byte_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, begin: bytes, asks: str
) -> None:
    monkeypatch.setattr(provisioning_client, "ANSWER_S", 0.3)
    monkeypatch.setattr(provisioning_client, "FETCH_S", 0.3)
    bundle = DeployedBundle(name="a", version="1.0.0", sha256="1" * 64, url="/bundles/a/1.0.0")
    with dripping(begin) as url:
        client = ProvisioningClient(url)
        ask: dict[str, Callable[[], object]] = {
            "fetch": lambda: client.fetch(bundle),
            "deployment": lambda: client.deployment("a", after="", running="", error="", wait_s=0),
        }
        with pytest.raises(Unavailable, match=r"its answer was not complete within 0\.3 s"):
            ask[asks]()
        client.close()
