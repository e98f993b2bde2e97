"""Open pages as connections: those that read get everything, and nobody waits for the others."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from inaetics.demonstrator.bundles.viewer import streams
from inaetics.demonstrator.bundles.viewer.frames import BEAT
from inaetics.demonstrator.bundles.viewer.streams import Streams
from inaetics.errors import Unavailable
from tests.support.eventually import eventually

LARGE = b": " + b"x" * 3_000_000 + b"\n\n"
"""More than the kernel holds for both sides."""


class Pages:
    """Streams, and connections to them."""

    def __init__(self) -> None:
        self.streams = Streams()
        self.streams.start()
        self._server = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []

    def page(self) -> socket.socket:
        """A page's side of a connection that was added."""
        client, ours = self.connect()
        self.streams.reserve()
        self.streams.add(ours, b"hello\n\n")
        return client

    def connect(self) -> tuple[socket.socket, socket.socket]:
        """Both sides: the page's, which reads little at once, and ours."""
        client = socket.socket()
        self._open.append(client)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(20)
        client.connect(self._server.getsockname())
        return client, self._server.accept()[0]

    def close(self) -> None:
        self.streams.stop()
        for client in self._open:
            client.close()
        self._server.close()


@pytest.fixture
def pages() -> Iterator[Pages]:
    pages = Pages()
    yield pages
    pages.close()


def read(client: socket.socket, size: int) -> bytes:
    got = bytearray()
    while len(got) < size and (piece := client.recv(65536)):
        got += piece
    return bytes(got)


def test_a_page_that_does_not_read_is_dropped_and_the_others_miss_nothing(
    pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "STALLED_S", 2.0)
    pages.page()
    reads = pages.page()
    for number in range(3):
        pages.streams.publish(LARGE)
        pages.streams.publish(b"%d\n\n" % number)
    whole = b"hello\n\n" + b"".join(LARGE + b"%d\n\n" % number for number in range(3))
    assert read(reads, len(whole)) == whole
    eventually(lambda: pages.streams.dropped == 1 or None, within_s=20, what="the silent page is dropped")
    assert pages.streams.open == 1


def test_a_page_that_is_far_behind_is_dropped_though_it_reads(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "BEHIND_S", 0.5)
    monkeypatch.setattr(streams, "STALLED_S", 600.0)
    slow = pages.page()
    pages.streams.publish(LARGE)

    def dropped() -> bool | None:
        slow.recv(100)
        return pages.streams.dropped == 1 or None

    eventually(dropped, within_s=20, what="the slow page is dropped")


def test_a_page_that_was_closed_is_let_go_of_without_anything_to_send(pages: Pages) -> None:
    client = pages.page()
    assert read(client, 7) == b"hello\n\n"
    client.close()
    eventually(lambda: pages.streams.open == 0 or None, within_s=20, what="the page is let go of")
    assert pages.streams.dropped == 0


def test_silence_is_broken_by_a_comment(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "BEAT_S", 0.1)
    client = pages.page()
    assert read(client, 7 + 2 * len(BEAT)) == b"hello\n\n" + BEAT + BEAT


def test_the_end_closes_all_pages_and_refuses_new_ones(pages: Pages) -> None:
    client = pages.page()
    late, ours = pages.connect()
    pages.streams.reserve()  # just before the end
    pages.streams.stop()
    assert read(client, 1000) == b"hello\n\n"
    pages.streams.add(ours, b"hello\n\n")
    assert read(late, 1000) == b""
    assert pages.streams.open == 0
    pages.streams.publish(b"nobody hears it")
    with pytest.raises(Unavailable):
        pages.streams.reserve()
