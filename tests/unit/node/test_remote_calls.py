"""Calls over a real connection: answers, errors, and what a caller gets when the provider is dead or silent."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pelix.rsa import RemoteServiceError

from inaetics.errors import Conflict, InvalidInput, NotFound, Unavailable
from inaetics.node.remote.client import Peer, Peers
from inaetics.node.remote.errors import CallFailed, Unreachable
from inaetics.node.remote.server import Refused, Server
from inaetics.node.remote.tls import TlsContexts, tls_contexts
from inaetics.node.remote.wire import NO_ENDPOINT, NO_METHOD, Answer, Call, Connection, Hello, encode
from tests.support.etcd import make_certificates

ADDRESS = "127.0.0.1"


class Provider:
    """What is called in these tests."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.leave = threading.Event()
        self.calls = 0

    def __call__(self, call: Call) -> Any:
        self.calls += 1
        match call.method:
            case "echo":
                return [call.args, call.kwargs]
            case "raise":
                raise _ERRORS[call.args[0]]
            case "wait":
                self.entered.release()
                assert self.leave.wait(20)
                return "left"
            case "unsendable":
                return object()
            case _:
                return self._refuse(call)

    def _refuse(self, call: Call) -> Any:
        kind = NO_ENDPOINT if call.endpoint == "gone" else NO_METHOD
        raise Refused(kind, f"no {call.method}")


_ERRORS: dict[str, Exception] = {
    "InvalidInput": InvalidInput("wrong"),
    "NotFound": NotFound("wrong"),
    "Conflict": Conflict("wrong"),
    "ValueError": ValueError("wrong"),
    "Unavailable": Unavailable("wrong"),
}


@pytest.fixture
def provider() -> Iterator[Provider]:
    made = Provider()
    yield made
    made.leave.set()


@contextmanager
def serving(
    provider: Provider, tls: ssl.SSLContext | None = None, name: str = "provider"
) -> Iterator[tuple[Server, int]]:
    server = Server(ADDRESS, name, provider, tls)
    port = server.start()
    try:
        yield server, port
    finally:
        server.stop()


@contextmanager
def calling(port: int, tls: ssl.SSLContext | None = None, address: str = ADDRESS) -> Iterator[Peer]:
    peer = Peer(address, port, framework="provider", me="caller", tls=tls)
    try:
        yield peer
    finally:
        peer.close()


def call(peer: Peer, method: str, *args: Any, endpoint: str = "e", timeout_s: float = 5.0, **kwargs: Any) -> Any:
    return peer.call(endpoint, method, list(args), kwargs, timeout_s=timeout_s)


def test_answers_come_back(provider: Provider) -> None:
    with serving(provider) as (_, port), calling(port) as peer:
        assert call(peer, "echo", 1, "é", key=b"\0") == [[1, "é"], {"key": b"\0"}]
        assert [call(peer, "echo", n) for n in range(100)] == [[[n], {}] for n in range(100)]


def test_threads_call_side_by_side(provider: Provider) -> None:
    with serving(provider) as (_, port), calling(port) as peer, ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(call, peer, "wait") for _ in range(3)]
        for _ in waiting:
            assert provider.entered.acquire(timeout=5)
        assert call(peer, "echo", 1) == [[1], {}]  # nobody who waits is in its way
        provider.leave.set()
        assert [future.result(5) for future in waiting] == ["left"] * 3


@pytest.mark.parametrize(
    ("raised", "kind", "words"),
    [
        pytest.param("InvalidInput", InvalidInput, "^wrong$", id="our own errors stay what they are"),
        pytest.param("NotFound", NotFound, "^wrong$", id="not found"),
        pytest.param("Conflict", Conflict, "^wrong$", id="conflict"),
        pytest.param("ValueError", CallFailed, "raise failed there: ValueError: wrong", id="any other is named"),
        pytest.param("Unavailable", CallFailed, "Unavailable: wrong", id="unavailable there is not unavailable here"),
    ],
)
def test_what_the_provider_raised_is_raised_here(
    provider: Provider, raised: str, kind: type[Exception], words: str
) -> None:
    with serving(provider) as (_, port), calling(port) as peer:
        with pytest.raises(kind, match=words):
            call(peer, "raise", raised)
        assert call(peer, "echo") == [[], {}]  # the connection is as good as before


def test_what_cannot_be_sent_back_is_the_providers_failure(provider: Provider) -> None:
    with serving(provider) as (_, port), calling(port) as peer:
        with pytest.raises(InvalidInput, match="unsendable: cannot send answer"):
            call(peer, "unsendable")
        assert call(peer, "echo") == [[], {}]


def test_what_cannot_be_sent_at_all_is_not(provider: Provider) -> None:
    with serving(provider) as (_, port), calling(port) as peer:
        with pytest.raises(InvalidInput, match="cannot send call"):
            call(peer, "echo", object())
        assert provider.calls == 0


def test_unknown_method_and_withdrawn_service_are_told_apart(provider: Provider) -> None:
    with serving(provider) as (_, port), calling(port) as peer:
        with pytest.raises(CallFailed, match="no such method"):
            call(peer, "nowhere")
        with pytest.raises(Unreachable, match="it was withdrawn there"):
            call(peer, "nowhere", endpoint="gone")


def test_dead_provider_fails_calls_at_once(provider: Provider) -> None:
    with serving(provider) as (server, port), calling(port) as peer:
        call(peer, "echo")
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(call, peer, "wait", timeout_s=60)
            assert provider.entered.acquire(timeout=5)
            server.stop()
            with pytest.raises(Unreachable, match=r"the provider went away|the connection broke"):
                waiting.result(5)
        with pytest.raises(Unreachable, match="refused") as refused:
            call(peer, "echo", timeout_s=60)
        assert isinstance(refused.value, RemoteServiceError)
        assert isinstance(refused.value, Unavailable)
        provider.leave.set()


def test_silent_provider_fails_a_call_when_its_time_is_over(provider: Provider) -> None:
    with serving(provider) as (_, port), calling(port) as peer:
        with pytest.raises(Unreachable, match=r"no answer within 0\.2 s"):
            call(peer, "wait", timeout_s=0.2)
        provider.leave.set()
        assert call(peer, "echo", 7) == [[7], {}]  # the late answer is nobody's


def test_provider_that_never_greets_fails_a_call_when_its_time_is_over() -> None:
    with socket.create_server((ADDRESS, 0)) as silent, calling(silent.getsockname()[1]) as peer:
        with pytest.raises(Unreachable) as refused:
            call(peer, "echo", timeout_s=0.2)
        assert "the other side says nothing" in str(refused.value)


def test_port_of_another_framework_is_not_called(provider: Provider) -> None:
    with serving(provider, name="somebody else") as (_, port), calling(port) as peer:
        with pytest.raises(Unreachable) as refused:
            call(peer, "echo")
        assert "belongs to another agent" in str(refused.value)
    assert provider.calls == 0


def test_caller_that_talks_nonsense_harms_nobody(provider: Provider) -> None:
    with serving(provider) as (_, port):
        for nonsense in (b"GET / HTTP/1.0\r\n\r\n", b"\0\0\0\1\xc1", bytes(encode(Hello(1, "x"))) + b"\xff" * 8):
            with socket.create_connection((ADDRESS, port), timeout=5) as stream:
                stream.sendall(nonsense)
                stream.shutdown(socket.SHUT_WR)
                while stream.recv(1000):
                    pass
        with calling(port) as peer:
            assert call(peer, "echo") == [[], {}]


def test_answer_to_another_call_is_not_taken() -> None:
    with socket.create_server((ADDRESS, 0)) as listener, ThreadPoolExecutor(1) as pool:

        def answer_wrongly() -> None:
            stream, _ = listener.accept()
            connection = Connection(stream)
            connection.receive(within_s=5)
            connection.send(Hello(1, "provider"))
            received = connection.receive(within_s=5)
            assert isinstance(received, Call)
            stream.sendall(bytes(encode(Answer(received.id + 1, "not yours"))))
            connection.receive(within_s=5)
            connection.close()

        served = pool.submit(answer_wrongly)
        with calling(listener.getsockname()[1]) as peer, pytest.raises(Unreachable, match="out of turn"):
            call(peer, "echo")
        served.result(5)


def test_connections_are_shared_until_the_last_user_is_gone(provider: Provider) -> None:
    with serving(provider) as (server, port):
        peers = Peers("caller", None)
        one, two = peers.take(ADDRESS, port, "provider"), peers.take(ADDRESS, port, "provider")
        assert one is two
        peers.release(one)
        call(two, "echo")
        call(two, "echo")
        assert len(server._connections) == 1
        peers.release(two)
        assert peers.take(ADDRESS, port, "provider") is not one
        peers.close()


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TlsContexts:
    return certificates(tmp_path_factory.mktemp("tls"))


def certificates(directory: Path) -> TlsContexts:
    made = make_certificates(directory, (ADDRESS,))
    (directory / "node").mkdir()
    for name, source in (
        ("ca.pem", made.ca),
        ("cert.pem", directory / "server.pem"),
        ("key.pem", directory / "server.key"),
    ):
        (directory / "node" / name).write_bytes(Path(source).read_bytes())
    return tls_contexts(directory / "node")


def test_mutual_tls_carries_calls(provider: Provider, tls: TlsContexts) -> None:
    with serving(provider, tls.server) as (server, port), calling(port, tls.client) as peer:
        assert call(peer, "echo", "x" * 1_000_000) == [["x" * 1_000_000], {}]
        assert [call(peer, "echo", n) for n in range(10)] == [[[n], {}] for n in range(10)]
        assert len(server._connections) == 1


def test_who_has_no_certificate_of_the_cluster_is_not_served(
    provider: Provider, tls: TlsContexts, tmp_path: Path
) -> None:
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bare.check_hostname, bare.verify_mode = False, ssl.CERT_NONE
    foreign = certificates(tmp_path).client
    foreign.check_hostname, foreign.verify_mode = False, ssl.CERT_NONE
    with serving(provider, tls.server) as (_, port):
        for context in (None, bare, foreign):
            with calling(port, context) as peer, pytest.raises(Unreachable):
                call(peer, "echo", timeout_s=1)
    assert provider.calls == 0


def test_provider_without_a_certificate_of_the_cluster_is_not_called(
    provider: Provider, tls: TlsContexts, tmp_path: Path
) -> None:
    foreign = certificates(tmp_path)
    with serving(provider, foreign.server) as (_, port), calling(port, tls.client) as peer:
        with pytest.raises(Unreachable) as refused:
            call(peer, "echo")
        assert "certificate verify failed" in str(refused.value)
    assert provider.calls == 0


def test_certificate_of_another_address_is_not_enough(provider: Provider, tls: TlsContexts) -> None:
    server = Server("127.0.0.2", "provider", provider, tls.server)
    port = server.start()
    try:
        with calling(port, tls.client, "127.0.0.2") as peer, pytest.raises(Unreachable, match="IP address mismatch"):
            call(peer, "echo")
    finally:
        server.stop()


def test_missing_certificates_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=str(tmp_path)):
        tls_contexts(tmp_path)
