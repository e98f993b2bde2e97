"""Frames: what was sent arrives, however it is cut up on the way; what is none of ours is refused."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inaetics.errors import InvalidInput, Unavailable
from inaetics.node.remote.wire import (
    MAX_FRAME,
    Answer,
    Call,
    Connection,
    Failure,
    Hello,
    Message,
    decode,
    encode,
    greet,
)

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False), st.text(), st.binary()
)
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)
messages = st.one_of(
    st.builds(Hello, protocol=st.integers(0, 9), framework=st.text()),
    st.builds(
        Call,
        id=st.integers(1, 2**40),
        endpoint=st.text(),
        method=st.text(),
        args=st.lists(values),
        kwargs=st.dictionaries(st.text(), values),
    ),
    st.builds(Answer, id=st.integers(1, 2**40), value=values),
    st.builds(Failure, id=st.integers(1, 2**40), kind=st.text(), message=st.text()),
)


@pytest.fixture
def pair() -> Iterator[tuple[Connection, socket.socket]]:
    """Our end, and a bare socket as the other."""
    ours, other = socket.socketpair()
    connection = Connection(ours)
    yield connection, other
    connection.close()
    other.close()


@settings(deadline=None)
@given(message=messages)
def test_what_was_encoded_is_decoded(message: Message) -> None:
    frame = encode(message)
    assert struct.unpack(">I", frame[:4])[0] == len(frame) - 4
    assert decode(bytes(frame[4:])) == message


@settings(deadline=None)
@given(sent=st.lists(messages, min_size=1, max_size=4), data=st.data())
def test_frames_arrive_however_the_stream_is_cut(sent: list[Message], data: st.DataObject) -> None:
    stream = b"".join(bytes(encode(message)) for message in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    ours, other = socket.socketpair()
    connection = Connection(ours)
    try:
        for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
            other.sendall(stream[begin:end])
        other.close()
        assert [connection.receive(within_s=5) for _ in sent] == sent
        assert connection.receive(within_s=5) is None
    finally:
        connection.close()
        other.close()


class Sample(msgspec.Struct, array_like=True):
    time: int
    value: float


@dataclass
class Point:
    x: int


def test_structs_and_dataclasses_travel_as_what_they_are_made_of() -> None:
    answer = decode(bytes(encode(Answer(1, [Sample(1, 2.0), Point(3), (4, 5)])))[4:])
    assert answer == Answer(1, [[1, 2.0], {"x": 3}, [4, 5]])


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(object(), id="an object"),
        pytest.param(2**64, id="an integer too large"),
        pytest.param(lambda: None, id="a function"),
    ],
)
def test_what_has_no_form_is_refused_before_anything_is_sent(value: Any) -> None:
    with pytest.raises(InvalidInput, match="cannot send call"):
        encode(Call(1, "e", "m", [value], {}))


def test_value_that_contains_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(InvalidInput, match="cannot send call"):
        encode(Call(1, "e", "m", value, {}))


def test_frame_too_large_is_refused_on_both_sides(pair: tuple[Connection, socket.socket]) -> None:
    with pytest.raises(InvalidInput, match="at most"):
        encode(Answer(1, b"x" * (MAX_FRAME + 1)))
    connection, other = pair
    other.sendall(struct.pack(">I", MAX_FRAME + 1))
    with pytest.raises(InvalidInput, match="at most"):
        connection.receive(within_s=5)


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xc1", id="no msgpack"),
        pytest.param(b"\x91\x09", id="an unknown kind"),
        pytest.param(b"\x93\x02\x01", id="cut short"),
        pytest.param(msgspec.msgpack.encode([1, 2]), id="too few fields"),
        pytest.param(msgspec.msgpack.encode([2, "id", None]), id="a field of the wrong type"),
        pytest.param(b"\x93\x02\x01" + b"\x91" * 100_000, id="nested without end"),
    ],
)
def test_what_is_no_frame_of_ours_is_refused(payload: bytes) -> None:
    with pytest.raises(InvalidInput, match="cannot understand"):
        decode(payload)


@settings(deadline=None)
@given(payload=st.binary(max_size=200))
def test_any_bytes_are_a_frame_or_refused(payload: bytes) -> None:
    with suppress(InvalidInput):
        decode(payload)


def test_silence_is_a_timeout_even_when_bytes_dribble(pair: tuple[Connection, socket.socket]) -> None:
    connection, other = pair
    stop = threading.Event()

    def dribble() -> None:
        other.sendall(struct.pack(">I", 1000))
        while not stop.wait(0.02):
            other.sendall(b"\xc0")

    thread = threading.Thread(target=dribble)
    thread.start()
    try:
        with pytest.raises(TimeoutError):
            connection.receive(within_s=0.3)
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.0 400 Bad Request\r\n\r\n", id="a web server"),
        pytest.param(bytes(encode(Hello(99, "x"))), id="another protocol"),
        pytest.param(bytes(encode(Answer(1, None))), id="an answer first"),
    ],
)
def test_who_does_not_greet_as_we_do_is_no_peer(pair: tuple[Connection, socket.socket], answer: bytes) -> None:
    connection, other = pair
    other.sendall(answer)
    with pytest.raises((Unavailable, TimeoutError)):
        greet(connection, "me", within_s=0.2)
