"""Frames: what was sent arrives, however it is cut up on the way; what is none of ours is refused."""

from __future__ import annotations

import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inaetics.errors import InvalidInput
from inaetics.node.remote.wire import (
    MAX_FRAME,
    Answer,
    Call,
    Cancel,
    Failure,
    Frames,
    Hello,
    Message,
    OneWay,
    Ping,
    decode,
    encode,
)

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False), st.text(), st.binary()
)
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)
messages = st.one_of(
    st.builds(Hello, protocol=st.integers(0, 9), framework=st.text(), window=st.integers(1, 9999)),
    st.builds(
        Call,
        id=st.integers(1, 2**40),
        endpoint=st.text(),
        method=st.text(),
        args=st.lists(values),
        kwargs=st.dictionaries(st.text(), values),
        within_ms=st.integers(0, 2**40),
    ),
    st.builds(
        OneWay, endpoint=st.text(), method=st.text(), args=st.lists(values), kwargs=st.dictionaries(st.text(), values)
    ),
    st.builds(Cancel, id=st.integers(1, 2**40)),
    st.builds(Ping, id=st.integers(1, 2**40), endpoint=st.text()),
    st.builds(Answer, id=st.integers(1, 2**40), value=values),
    st.builds(Failure, id=st.integers(1, 2**40), reason=st.integers(0, 9), kind=st.text(), message=st.text()),
)


@settings(deadline=None, max_examples=40)
@given(message=messages)
def test_what_was_encoded_is_decoded(message: Message) -> None:
    frame = encode(message)
    assert struct.unpack(">I", frame[:4])[0] == len(frame) - 4
    assert decode(frame[4:]) == message


@settings(deadline=None, max_examples=40)
@given(sent=st.lists(messages, min_size=1, max_size=4), data=st.data())
def test_frames_arrive_however_the_stream_is_cut(sent: list[Message], data: st.DataObject) -> None:
    stream = b"".join(encode(message) for message in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    frames = Frames()
    found: list[Message] = []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += frames.feed(stream[begin:end])
    assert found == sent
    assert frames.held == 0


def test_frame_that_is_cut_is_no_message_and_asks_for_the_rest() -> None:
    frame = encode(Answer(1, b"x" * 300_000))
    frames = Frames()
    assert frames.feed(frame[:-1]) == []
    assert (frames.held, frames.announced) == (len(frame) - 1, len(frame))
    assert Frames().chunk == frames.chunk  # one byte is missing
    assert frames.feed(frame[-1:]) == [Answer(1, b"x" * 300_000)]


class Sample(msgspec.Struct, array_like=True):
    time: int
    value: float


@dataclass
class Point:
    x: int


def test_structs_and_dataclasses_travel_as_what_they_are_made_of() -> None:
    answer = decode(encode(Answer(1, [Sample(1, 2.0), Point(3), (4, 5)]))[4:])
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


def test_frame_too_large_is_refused_on_both_sides() -> None:
    with pytest.raises(InvalidInput, match="at most"):
        encode(Answer(1, b"x" * (MAX_FRAME + 1)))
    with pytest.raises(InvalidInput, match="at most"):
        Frames().feed(struct.pack(">I", MAX_FRAME + 1))


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


@settings(deadline=None, max_examples=40)
@given(payload=st.binary(max_size=200))
def test_any_bytes_are_a_frame_or_refused(payload: bytes) -> None:
    with suppress(InvalidInput):
        decode(payload)


@settings(deadline=None, max_examples=40)
@given(
    pieces=st.lists(st.binary(max_size=60), max_size=5),
    begin=st.sampled_from((b"", b"\0\0\0\1", b"\0\0\0\x05\x93\x02")),
)
def test_any_stream_is_messages_or_refused_or_unfinished(pieces: list[bytes], begin: bytes) -> None:
    frames = Frames()
    with suppress(InvalidInput):
        for piece in (begin, *pieces):
            for message in frames.feed(piece):
                assert isinstance(message, Message)
    assert frames.held <= len(begin) + sum(map(len, pieces))  # nothing is set aside for what was only announced


def test_fields_of_later_versions_are_ignored_and_missing_ones_have_defaults() -> None:
    assert decode(msgspec.msgpack.encode([0, 2, "x", 9, "new"])) == Hello(2, "x", 9)
    assert decode(msgspec.msgpack.encode([0, 1, "x"])) == Hello(1, "x")
    assert decode(msgspec.msgpack.encode([1, 7, "e", "m", [], {}])) == Call(7, "e", "m", [], {}, 0)
