"""Bytes both ways: frames stay whole whoever sends, nobody waits longer than their time, with and without TLS."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest

from inaetics.errors import Unavailable
from inaetics.node.remote.greeting import greet
from inaetics.node.remote.stream import NotSent, Stream, prepare, secured
from inaetics.node.remote.tls import TlsContexts
from inaetics.node.remote.wire import PROTOCOL, Answer, Frames, Hello, Message, encode
from tests.unit.node.test_remote_calls import certificates

ADDRESS = "127.0.0.1"


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TlsContexts:
    return certificates(tmp_path_factory.mktemp("tls"))


@contextmanager
def connected() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server((ADDRESS, 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        other, _ = listener.accept()
    with ours, other:
        prepare(ours)
        yield ours, other


@pytest.fixture(params=["tcp", "tls"])
def pair(request: pytest.FixtureRequest, tls: TlsContexts) -> Iterator[tuple[Stream, Stream]]:
    with connected() as (ours, other):
        if request.param == "tcp":
            yield Stream(ours), Stream(other)
            return
        with ThreadPoolExecutor(1) as pool:
            provider = pool.submit(secured, other, tls.server, within_s=10)
            caller = secured(ours, tls.client, within_s=10, server_name=ADDRESS)
            yield caller, provider.result(10)


def received(stream: Stream, count: int) -> list[Message]:
    frames, found = Frames(), list[Message]()
    while len(found) < count:
        data = stream.receive(frames.chunk, within_s=20)
        assert data, f"the stream ended after {len(found)} frames"
        found += frames.feed(data)
    return found


def test_frames_of_many_threads_arrive_whole_both_ways(pair: tuple[Stream, Stream]) -> None:
    threads, each = 6, 40
    sizes = [10, 3_000, 100_000, 20, 70_000]

    def send(stream: Stream, thread: int) -> None:
        for n in range(each):
            size = sizes[(thread + n) % len(sizes)]
            stream.send(encode(Answer(thread * each + n, bytes([thread]) * size)), within_s=20)

    with ThreadPoolExecutor(2 * threads + 2) as pool:
        reading = [pool.submit(received, stream, threads * each) for stream in pair]
        sending = [pool.submit(send, stream, thread) for stream in pair for thread in range(threads)]
        for each_sent in sending:
            each_sent.result(30)
        for found in reading:
            messages = [message for message in found.result(30) if isinstance(message, Answer)]
            assert sorted(message.id for message in messages) == list(range(threads * each))
            assert all(set(message.value) == {message.id // each} for message in messages)
            for thread in range(threads):  # what one thread sent comes in its order
                own = [message.id for message in messages if message.id // each == thread]
                assert own == sorted(own)


def fill(stream: Stream) -> int:
    """Send until the other side, which takes nothing, has no room; returns how many frames went or will go."""
    sent = 0
    while True:
        try:
            stream.send(encode(Answer(sent, b"x" * 200_000)), within_s=0.05)
        except NotSent:
            return sent
        except TimeoutError:
            pass  # it is cut somewhere, and its rest is kept
        sent += 1


def test_sender_whose_time_is_over_leaves_no_broken_frame(pair: tuple[Stream, Stream]) -> None:
    ours, other = pair
    sent = fill(ours)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(received, other, sent + 1)
        ours.send(encode(Answer(sent, b"last")), within_s=20)
        messages = reading.result(20)
    assert [message.id for message in messages if isinstance(message, Answer)] == list(range(sent + 1))


def test_receiver_sends_what_others_left(pair: tuple[Stream, Stream]) -> None:
    ours, other = pair
    sent = fill(ours)
    with ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(ours.receive, 1000, within_s=20)
        received(other, sent)
        other.send(b"thanks", within_s=20)
        assert waiting.result(20) == b"thanks"


def test_leading_caller_does_not_wait_to_send(pair: tuple[Stream, Stream]) -> None:
    ours, _ = pair
    fill(ours)
    began = time.monotonic()
    ours.begin(encode(Answer(1, b"x" * 100_000)))
    assert time.monotonic() - began < 5
    left = 0
    with suppress(NotSent):
        for left in range(1000):
            ours.begin(encode(Answer(left, b"x" * 100_000)))
    assert left < 100, "what is left is bounded"


def test_silence_is_a_timeout_even_when_bytes_dribble() -> None:
    with connected() as (ours, other):
        stop = threading.Event()

        def dribble() -> None:
            other.sendall(struct.pack(">I", 1000))
            while not stop.wait(0.02):
                with suppress(OSError):
                    other.sendall(b"\xc0")

        thread = threading.Thread(target=dribble)
        thread.start()
        try:
            with pytest.raises((TimeoutError, Unavailable)):
                greet(Stream(ours), Frames(), "me", within_s=0.3)
        finally:
            stop.set()
            thread.join()


def test_end_and_close_wake_who_receives(pair: tuple[Stream, Stream]) -> None:
    ours, other = pair
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ours.receive, 1000)
        other.close()
        with suppress(OSError):
            assert waiting.result(10) == b""
    ours.close()
    ours.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        ours.receive(1000, within_s=1)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.0 400 Bad Request\r\n\r\n", id="a web server"),
        pytest.param(encode(Hello(PROTOCOL + 1, "x")), id="another protocol"),
        pytest.param(encode(Answer(1, None)), id="an answer first"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_who_does_not_greet_as_we_do_is_no_peer(answer: bytes) -> None:
    with connected() as (ours, other):
        other.sendall(answer)
        with pytest.raises((Unavailable, TimeoutError)):
            greet(Stream(ours), Frames(), "me", within_s=0.2)


def test_what_comes_behind_a_hello_is_kept() -> None:
    with connected() as (ours, other):
        other.sendall(encode(Hello(PROTOCOL, "them", 7)) + encode(Answer(1, 2)))
        time.sleep(0.05)
        hello, behind = greet(Stream(ours), Frames(), "me", within_s=10)
        assert (hello.framework, hello.window) == ("them", 7)
        assert behind in ([Answer(1, 2)], [])


def test_handshake_that_takes_too_long_ends(tls: TlsContexts) -> None:
    with connected() as (ours, _), pytest.raises(TimeoutError):
        secured(ours, tls.client, within_s=0.1, server_name=ADDRESS)
    with connected() as (ours, other):
        other.sendall(b"this is no TLS at all")
        with pytest.raises(ssl.SSLError):
            secured(ours, tls.client, within_s=10, server_name=ADDRESS)
