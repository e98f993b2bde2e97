"""Connections that have not shown who they are: bounded in number and time, and by crowds first."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from inaetics import strangers
from inaetics.strangers import Strangers
from tests.support.etcd import make_certificates


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    directory: Path = tmp_path_factory.mktemp("certificates")
    make_certificates(directory, ("127.0.0.1",))
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(directory / "server.pem", directory / "server.key")
    return made


class Door:
    """Strangers at the door of a server, and their own ends of the connections."""

    def __init__(self, most: int, context: ssl.SSLContext, stack: ExitStack) -> None:
        self.strangers = Strangers(most)
        self._context, self._stack = context, stack

    def knock(self, address: str) -> tuple[ssl.SSLSocket, socket.socket]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            theirs = self._stack.enter_context(socket.create_connection(listener.getsockname()))
            tls = self.strangers.enter(listener.accept()[0], address, self._context)
        self._stack.enter_context(tls)
        theirs.settimeout(10)
        return tls, theirs


@pytest.fixture
def door(context: ssl.SSLContext) -> Iterator[Door]:
    with ExitStack() as stack:
        yield Door(3, context, stack)


def ended(theirs: socket.socket) -> bool:
    theirs.setblocking(False)
    try:
        return theirs.recv(1) == b""
    except BlockingIOError:
        return False


def test_too_many_cost_the_oldest_its_place(door: Door) -> None:
    knocked = [door.knock("10.0.0.1")[1] for _ in range(5)]
    assert [ended(theirs) for theirs in knocked] == [True, True, False, False, False]
    assert len(door.strangers) == 3


def test_a_crowd_from_one_address_drives_out_itself_alone(door: Door) -> None:
    _, alone = door.knock("10.0.0.7")
    crowd = [door.knock("10.0.0.1")[1] for _ in range(5)]
    assert not ended(alone)
    assert [ended(theirs) for theirs in crowd] == [True, True, True, False, False]


def test_who_says_nothing_is_closed_and_counted_out(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strangers, "HANDSHAKE_S", 0.05)
    monkeypatch.setattr(strangers, "PART_S", 0.05)
    tls, theirs = door.knock("10.0.0.1")
    with pytest.raises(TimeoutError):
        door.strangers.shake_hands(tls)
    assert ended(theirs)
    assert len(door.strangers) == 0


def test_who_is_refused_and_goes_on_talking_is_not_listened_to_for_long(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strangers, "PART_S", 0.2)
    tls, theirs = door.knock("10.0.0.1")
    theirs.sendall(b"this is no handshake")
    heard = 0

    def recv(_tls: socket.socket, _most: int) -> bytes:  # something more comes whenever one listens
        nonlocal heard
        heard += 1
        return b"and another thing"

    monkeypatch.setattr(socket.socket, "recv", recv)
    with pytest.raises(ssl.SSLError):
        door.strangers.shake_hands(tls)
    assert heard
    assert tls.fileno() == -1
    assert len(door.strangers) == 0


def test_one_that_was_known_is_no_stranger_any_more(door: Door) -> None:
    first, theirs = door.knock("10.0.0.1")
    door.strangers.leave(first)
    for _ in range(4):
        door.knock("10.0.0.1")
    assert not ended(theirs)
