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
from inaetics.node.remote.endpoints import Endpoints
from inaetics.node.remote.errors import CallFailed, NotCarriedOut, Unreachable, Withdrawn
from inaetics.node.remote.server import Server
from inaetics.node.remote.tls import TlsContexts, tls_contexts
from inaetics.node.remote.wire import PROTOCOL, Answer, Call, Frames, Hello, encode
from tests.support.etcd import make_certificates

ADDRESS = "127.0.0.1"


class Service:
    """What is called in these tests."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.leave = threading.Event()
        self.calls = 0

    def echo(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        return [args, kwargs]

    def fail(self, name: str) -> None:
        raise _ERRORS[name]

    def wait(self) -> str:
        self.entered.release()
        assert self.leave.wait(20)
        return "left"

    def unsendable(self) -> object:
        return object()

    def _private(self) -> None:
        self.calls += 1


_ERRORS: dict[str, Exception] = {
    "InvalidInput": InvalidInput("wrong"),
    "NotFound": NotFound("wrong"),
    "Conflict": Conflict("wrong"),
    "ValueError": ValueError("wrong"),
    "Unavailable": Unavailable("wrong"),
}


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    yield made
    made.leave.set()


@contextmanager
def serving(
    service: Service, tls: ssl.SSLContext | None = None, name: str = "provider"
) -> Iterator[tuple[Server, int]]:
    endpoints = Endpoints()
    endpoints.add("e", service)
    server = Server(ADDRESS, name, endpoints, tls)
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


def test_answers_come_back(service: Service) -> None:
    with serving(service) as (_, port), calling(port) as peer:
        assert call(peer, "echo", 1, "é", key=b"\0") == [[1, "é"], {"key": b"\0"}]
        assert [call(peer, "echo", n) for n in range(100)] == [[[n], {}] for n in range(100)]


def test_threads_call_side_by_side(service: Service) -> None:
    with serving(service) as (_, port), calling(port) as peer, ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(call, peer, "wait") for _ in range(3)]
        for _ in waiting:
            assert service.entered.acquire(timeout=20)
        assert call(peer, "echo", 1) == [[1], {}]  # nobody who waits is in its way
        service.leave.set()
        assert [future.result(5) for future in waiting] == ["left"] * 3


@pytest.mark.parametrize(
    ("raised", "kind", "words"),
    [
        pytest.param("InvalidInput", InvalidInput, "^wrong$", id="our own errors stay what they are"),
        pytest.param("NotFound", NotFound, "^wrong$", id="not found"),
        pytest.param("Conflict", Conflict, "^wrong$", id="conflict"),
        pytest.param("ValueError", CallFailed, "fail failed there: ValueError: wrong", id="any other is named"),
        pytest.param("Unavailable", CallFailed, "Unavailable: wrong", id="unavailable there is not unavailable here"),
    ],
)
def test_what_the_provider_raised_is_raised_here(
    service: Service, raised: str, kind: type[Exception], words: str
) -> None:
    with serving(service) as (_, port), calling(port) as peer:
        with pytest.raises(kind, match=words):
            call(peer, "fail", raised)
        assert call(peer, "echo") == [[], {}]  # the connection is as good as before


def test_what_cannot_be_sent_back_is_the_providers_failure(service: Service) -> None:
    with serving(service) as (_, port), calling(port) as peer:
        with pytest.raises(InvalidInput, match="unsendable: cannot send answer"):
            call(peer, "unsendable")
        assert call(peer, "echo") == [[], {}]


def test_what_cannot_be_sent_at_all_is_not(service: Service) -> None:
    with serving(service) as (_, port), calling(port) as peer:
        with pytest.raises(InvalidInput, match="cannot send call"):
            call(peer, "echo", object())
        assert service.calls == 0


def test_unknown_method_and_withdrawn_service_are_told_apart(service: Service) -> None:
    with serving(service) as (_, port), calling(port) as peer:
        with pytest.raises(CallFailed, match="has no method nowhere"):
            call(peer, "nowhere")
        with pytest.raises(CallFailed, match="has no method _private"):
            call(peer, "_private")
        with pytest.raises(Withdrawn, match="it was withdrawn there"):
            call(peer, "nowhere", endpoint="gone")


def test_dead_provider_fails_calls_at_once(service: Service) -> None:
    with serving(service) as (server, port), calling(port) as peer:
        call(peer, "echo")
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(call, peer, "wait", timeout_s=60)
            assert service.entered.acquire(timeout=20)
            server.stop()
            with pytest.raises(Unreachable, match=r"the provider went away|the connection broke"):
                waiting.result(5)
        with pytest.raises(Unreachable, match="refused") as refused:
            call(peer, "echo", timeout_s=60)
        assert isinstance(refused.value, RemoteServiceError)
        assert isinstance(refused.value, Unavailable)
        service.leave.set()


def test_silent_provider_fails_a_call_when_its_time_is_over(service: Service) -> None:
    with serving(service) as (_, port), calling(port) as peer:
        with pytest.raises(Unreachable, match=r"no answer within 0\.2 s"):
            call(peer, "wait", timeout_s=0.2)
        service.leave.set()
        assert call(peer, "echo", 7) == [[7], {}]  # the late answer is nobody's


def test_provider_that_never_greets_fails_a_call_when_its_time_is_over() -> None:
    with socket.create_server((ADDRESS, 0)) as silent, calling(silent.getsockname()[1]) as peer:
        with pytest.raises(Unreachable) as refused:
            call(peer, "echo", timeout_s=0.2)
        assert "the other side says nothing" in str(refused.value)


def test_port_of_another_framework_is_not_called(service: Service) -> None:
    with serving(service, name="somebody else") as (_, port), calling(port) as peer:
        with pytest.raises(Unreachable) as refused:
            call(peer, "echo")
        assert "belongs to another agent" in str(refused.value)
    assert service.calls == 0


def test_caller_that_talks_nonsense_harms_nobody(service: Service) -> None:
    with serving(service) as (_, port):
        for nonsense in (b"GET / HTTP/1.0\r\n\r\n", b"\0\0\0\1\xc1", encode(Hello(PROTOCOL, "x")) + b"\xff" * 8):
            with socket.create_connection((ADDRESS, port), timeout=20) as stream:
                stream.sendall(nonsense)
                stream.shutdown(socket.SHUT_WR)
                while stream.recv(1000):
                    pass
        with calling(port) as peer:
            assert call(peer, "echo") == [[], {}]


def scripted(listener: socket.socket, *answers: bytes) -> None:
    """A provider that greets and then answers each call with these bytes, whatever it is."""
    stream, _ = listener.accept()
    with stream:
        frames = Frames()
        stream.settimeout(10)
        assert isinstance(frames.feed(stream.recv(1000))[0], Hello)
        stream.sendall(encode(Hello(PROTOCOL, "provider")))
        for answer in answers:
            assert isinstance(frames.feed(stream.recv(1000))[0], Call)
            stream.sendall(answer)
        stream.recv(1000)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param(encode(Answer(999, "not yours")), "out of turn", id="an answer to another call"),
        pytest.param(encode(Call(1, "e", "m", [], {})), "sent a Call", id="a call"),
        pytest.param(b"\0\0\0\1\xc1", "cannot understand", id="no msgpack"),
        pytest.param(b"\xff\xff\xff\xff", "at most", id="a huge length"),
        pytest.param(b"", "no answer within", id="nothing"),
    ],
)
def test_provider_that_talks_nonsense_is_left(answer: bytes, words: str) -> None:
    with socket.create_server((ADDRESS, 0)) as listener, ThreadPoolExecutor(1) as pool:
        served = pool.submit(scripted, listener, answer)
        with calling(listener.getsockname()[1]) as peer, pytest.raises(Unreachable, match=words) as failed:
            call(peer, "echo", timeout_s=1)
        assert not isinstance(failed.value, NotCarriedOut)
        served.result(10)


def test_connections_are_shared_until_the_last_user_is_gone(service: Service) -> None:
    with serving(service) as (server, port):
        peers = Peers("caller", None)
        one, two = peers.take(ADDRESS, port, "provider"), peers.take(ADDRESS, port, "provider")
        assert one is two
        peers.release(one)
        call(two, "echo")
        call(two, "echo")
        assert server.connections == 1
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


def test_mutual_tls_carries_calls(service: Service, tls: TlsContexts) -> None:
    with serving(service, tls.server) as (server, port), calling(port, tls.client) as peer:
        assert call(peer, "echo", "x" * 1_000_000) == [["x" * 1_000_000], {}]
        assert [call(peer, "echo", n) for n in range(10)] == [[[n], {}] for n in range(10)]
        assert server.connections == 1


def test_who_has_no_certificate_of_the_cluster_is_not_served(
    service: Service, tls: TlsContexts, tmp_path: Path
) -> None:
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bare.check_hostname, bare.verify_mode = False, ssl.CERT_NONE
    foreign = certificates(tmp_path).client
    foreign.check_hostname, foreign.verify_mode = False, ssl.CERT_NONE
    with serving(service, tls.server) as (_, port):
        for context in (None, bare, foreign):
            with calling(port, context) as peer, pytest.raises(Unreachable):
                call(peer, "echo", timeout_s=1)
    assert service.calls == 0


def test_provider_without_a_certificate_of_the_cluster_is_not_called(
    service: Service, tls: TlsContexts, tmp_path: Path
) -> None:
    foreign = certificates(tmp_path)
    with serving(service, foreign.server) as (_, port), calling(port, tls.client) as peer:
        with pytest.raises(Unreachable) as refused:
            call(peer, "echo")
        assert "certificate verify failed" in str(refused.value)
    assert service.calls == 0


def test_certificate_of_another_address_is_not_enough(service: Service, tls: TlsContexts) -> None:
    server = Server("127.0.0.2", "provider", Endpoints(), tls.server)
    port = server.start()
    try:
        with calling(port, tls.client, "127.0.0.2") as peer, pytest.raises(Unreachable, match="IP address mismatch"):
            call(peer, "echo")
    finally:
        server.stop()


def test_missing_certificates_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=str(tmp_path)):
        tls_contexts(tmp_path)
