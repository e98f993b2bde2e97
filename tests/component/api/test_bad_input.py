"""What strangers and broken programs send: an error entity or a closed connection, and nobody else is held up."""

from __future__ import annotations

import json
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from inaetics.api import bounds, replies
from inaetics.api.client import FleetClient
from inaetics.errors import Conflict, Unavailable
from tests.component.api.live import LiveFleet
from tests.support.eventually import eventually

TEXT = "[Service]\nExecStart=/bin/true\n"
GET_MACHINES = b"GET /fleet/v1/machines HTTP/1.1\r\nHost: x\r\n\r\n"


@contextmanager
def connected(fleet: LiveFleet, *, timeout_s: float = 20) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        connection.connect(str(fleet.socket))
        yield connection


def until_closed(connection: socket.socket) -> bytes:
    received = bytearray()
    try:
        while data := connection.recv(65536):
            received += data
    except ConnectionResetError:
        pass
    return bytes(received)


def entity(answer: bytes, status: int) -> str:
    """The message of an answer that must be an error entity with this status."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), answer[:200]
    assert b"application/json" in head.lower()
    found = json.loads(body)["error"]
    assert found["code"] == status
    message = found["message"]
    assert isinstance(message, str)
    return message


@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param(b"GARBAGE\r\n\r\n", id="no-request"),
        pytest.param(
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64 + b"\r\n\r\n", id="tls-on-a-plain-socket"
        ),
        pytest.param(b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", id="version"),
        pytest.param(b"GET /fleet/v1/units HTTP/1.1\r\n\r\n", id="no-host"),
        pytest.param(b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n", id="bytes-in-the-path"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: nine\r\n\r\n", id="length"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 80_000 + b"\r\n\r\n", id="huge-head"),
        pytest.param(
            b"PUT /fleet/v1/units/a.service HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", id="chunk"
        ),
    ],
)
def test_what_is_no_http_is_answered_with_an_error_entity(fleet: LiveFleet, garbage: bytes) -> None:
    with connected(fleet) as connection:
        connection.sendall(garbage)
        connection.shutdown(socket.SHUT_WR)
        answer = until_closed(connection)
    if answer:  # a request that broke off inside its body may get nothing
        assert re.match(rb"HTTP/1\.1 4\d\d ", answer), answer[:100]
        entity(answer, int(answer[9:12]))


@pytest.mark.parametrize("host", [b"[", b"[::1", b"a b", b"x:99999999", b"\xc3\xa9"])
@pytest.mark.parametrize(
    "path", [b"/nothing", b"/fleet/v1/units/%ff%fe.service", b"/fleet/v1/units/..%2f..%2fetc", b"//", b"/%00"]
)
def test_odd_hosts_and_paths_are_refused_as_any_other(fleet: LiveFleet, host: bytes, path: bytes) -> None:
    with connected(fleet) as connection:
        connection.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n")
        answer = until_closed(connection)
    assert answer[9:12] in (b"400", b"404"), answer[:100]
    entity(answer, int(answer[9:12]))


def test_a_client_that_closes_its_sending_side_gets_its_answer(fleet: LiveFleet) -> None:
    with connected(fleet) as connection:
        connection.sendall(GET_MACHINES.replace(b"fleet/v1/machines", b"inaetics/v1/machines?after=999999&wait_s=0.5"))
        connection.shutdown(socket.SHUT_WR)
        answer = until_closed(connection)
    assert answer.startswith(b"HTTP/1.1 200")
    assert len(json.loads(answer.partition(b"\r\n\r\n")[2])["machines"]) == 3


def test_a_client_that_leaves_in_the_middle_of_its_body_changes_nothing(fleet: LiveFleet, client: FleetClient) -> None:
    with connected(fleet) as connection:
        head = b"PUT /inaetics/v1/units/a.service HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        connection.sendall(head + b'Content-Length: 100\r\n\r\n{"text": "')
    assert client.units().units == ()


@pytest.mark.parametrize("begun", [b"", b"GET /fleet/v1/units HTTP/1.1\r\nHost:"])
def test_a_head_that_takes_too_long_is_cut_off(fleet: LiveFleet, monkeypatch: pytest.MonkeyPatch, begun: bytes) -> None:
    monkeypatch.setattr(bounds, "HEAD_WITHIN_S", 1.0)
    with connected(fleet) as connection:
        connection.sendall(begun)
        answer = until_closed(connection)
    assert (b" 408 " in answer) is bool(begun)


def test_a_second_request_that_takes_too_long_is_cut_off(fleet: LiveFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "HEAD_WITHIN_S", 1.0)
    with connected(fleet) as connection:
        connection.sendall(GET_MACHINES)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        connection.sendall(GET_MACHINES[:20])
        assert b" 408 " in until_closed(connection)


def test_a_body_that_takes_too_long_is_refused(fleet: LiveFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replies, "BODY_WITHIN_S", 0.3)
    with connected(fleet) as connection:
        head = b"PUT /fleet/v1/units/a.service HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        connection.sendall(head + b"Content-Length: 1000\r\n\r\n{")
        answer = b""
        while not answer.endswith(b"}}"):
            answer += connection.recv(65536)
        assert "did not come within" in entity(answer, 408)


def test_a_held_request_is_not_taken_for_a_slow_one(fleet: LiveFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "HEAD_WITHIN_S", 0.2)
    with fleet.client() as client:
        began = time.monotonic()
        revision = client.units().revision
        client.units(after=revision + 1_000_000, wait_s=0.8)
        assert time.monotonic() - began > 0.7


def test_two_hundred_clients_at_once_are_all_answered(fleet: LiveFleet) -> None:
    with ExitStack() as stack:
        connections = [stack.enter_context(connected(fleet)) for _ in range(200)]
        for connection in connections:
            connection.sendall(GET_MACHINES)
        for connection in connections:
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")


def test_one_client_too_many_is_told_so(fleet: LiveFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MAX_CONNECTIONS", 20)
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(connected(fleet))
        with connected(fleet) as one_more:
            assert "connected already" in entity(until_closed(one_more), 503)
    eventually(lambda: _machines(fleet) == 3, within_s=30, what="there is room again")


def _machines(fleet: LiveFleet) -> int:
    try:
        with fleet.client() as client:
            return len(client.machines())
    except Unavailable as error:
        raise AssertionError(str(error)) from error


def test_clients_that_stop_reading_hold_up_nobody_and_are_cut_off(
    fleet: LiveFleet, client: FleetClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "STALLED_S", 0.3)
    monkeypatch.setattr(bounds, "MUCH_BYTES", 64 * 1024)
    text = TEXT + ("# " + "x" * 1000 + "\n") * 200
    client.submit("large.service", text)
    with ExitStack() as stack:
        request = b"GET /inaetics/v1/units/large.service HTTP/1.1\r\nHost: x\r\n\r\n"
        stuck = [stack.enter_context(connected(fleet)) for _ in range(20)]
        for connection in stuck:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(request * 4)
        assert len(client.machines()) == 3
        eventually(lambda: all(map(_was_cut_off, stuck)), within_s=20, what="who reads nothing is cut off")


def _was_cut_off(connection: socket.socket) -> bool:
    """The other end has closed; nothing is read to find out."""
    try:
        connection.send(b"", socket.MSG_DONTWAIT)
        connection.sendall(b"\r\n")
    except OSError:
        return True
    return False


def test_a_journal_nobody_reads_waits_in_its_own_task(fleet: LiveFleet, client: FleetClient) -> None:
    """A reader that pauses (`| less`) is not cut off, and what it has not read is not in the API's memory."""
    fleet.script.journals["hello.service"] = ["x" * 1000] * 20_000
    client.submit("hello.service", TEXT, desired="launched")
    eventually(lambda: client.unit("hello.service").unit.active == "active", within_s=20, what="it runs")
    before = _memory_mb()
    with connected(fleet) as connection:
        connection.sendall(b"GET /inaetics/v1/journal/hello.service?lines=20000 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(1024).startswith(b"HTTP/1.1 200")
        readers = [threading.Thread(target=_machines, args=(fleet,)) for _ in range(10)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(30)
            assert not reader.is_alive()
        assert _memory_mb() - before < 15, "20 MB wait on the machine, not here"
        rest = until_end(connection)
    assert rest.count(b"x") > 19_998_000


def until_end(connection: socket.socket) -> bytes:
    received = bytearray()
    while not received.endswith(b"0\r\n\r\n"):
        received += connection.recv(1 << 20)
    return bytes(received)


def _memory_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def test_other_content_under_a_name_is_refused_and_says_how_to_replace(client: FleetClient) -> None:
    client.submit("a.service", TEXT)
    with pytest.raises(Conflict, match=r"fleetctl submit --replace.*fleetctl destroy a\.service"):
        client.submit("a.service", TEXT + "# another\n")
    client.submit("a.service", TEXT + "# another\n", replace=True)


class Dying:
    """An API that dies in the middle of its answer: once, or with every request."""

    def __init__(self, path: Path, says: bytes) -> None:
        self.path = path
        self.asked = 0
        self._says = says
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(path))
        self._socket.listen(16)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                if connection.recv(65536):
                    self.asked += 1
                    connection.sendall(self._says)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(10)


@pytest.mark.parametrize(
    "says",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Type: appl", id="half-a-head"),
        pytest.param(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"rev', id="half-a-body"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2p1\r\n", id="another-program"),
    ],
)
def test_an_api_that_dies_over_a_request_is_followed_by_the_next(fleet: LiveFleet, tmp_path: Path, says: bytes) -> None:
    dying = Dying(tmp_path / "dying.sock", says)
    try:
        with FleetClient([f"unix://{dying.path}", f"unix://{fleet.socket}"]) as client:
            assert len(client.machines()) == 3
            client.submit("a.service", TEXT)
            assert dying.asked == 1, "the one that answers is kept"
        with FleetClient([f"unix://{dying.path}"]) as client, pytest.raises(Unavailable, match=r"dying\.sock"):
            client.machines()
        with FleetClient([f"unix://{dying.path}"]) as client, pytest.raises(Unavailable):
            list(client.journal("a.service"))
        with FleetClient([f"unix://{dying.path}", f"unix://{fleet.socket}"]) as client:
            with pytest.raises(Unavailable):
                client.destroy("a.service")
            assert client.unit("a.service").text == TEXT, "what may have been done is not sent twice"
    finally:
        dying.close()
