"""One connection of HTTP/2 against a server that is played by hand: windows, pieces, ends, silence, nonsense."""

from __future__ import annotations

import asyncio
from struct import pack, unpack_from

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inaetics.store import hpack, http2
from inaetics.store.http2 import frame
from inaetics.store.rpc import Status
from inaetics.store.stream import WINDOW, Stream
from tests.support.eventually import aeventually
from tests.unit.store.http2_server import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    OK,
    PADDED,
    PING,
    RESET,
    SETTINGS,
    WELL,
    WINDOW_UPDATE,
    Server,
    answer,
    error_of,
    message,
    play,
)


def test_a_request_names_what_it_asks_for_and_ends_with_its_only_message() -> None:
    async def scenario(server: Server) -> None:
        server.greet()
        await server.ask(b"what")
        (_, flags, stream, block), (_, ending, same, data) = [
            each for each in server.heard() if each[0] in (HEADERS, DATA)
        ]
        headers = hpack.decode(block)
        assert (headers[":method"], headers[":path"], headers["te"]) == ("POST", "/service/Method", "trailers")
        assert headers["hasleader"] == "true"
        assert (flags, ending, stream, same, data) == (END_HEADERS, END_STREAM, 1, 1, message(b"what"))

    play(scenario)


@given(st.lists(st.integers(min_value=1, max_value=40), max_size=30))
def test_an_answer_is_the_same_in_whatever_pieces_it_arrives(sizes: list[int]) -> None:
    async def scenario(server: Server) -> None:
        server.greet()
        stream = await server.ask()
        data = frame(PING, 0, 0, b"12345678") + answer(stream.id, b"an answer")
        for size in sizes:
            server.say(data[:size])
            data = data[size:]
        server.say(data)
        assert await stream.receive_all() == b"an answer"
        assert server.heard(PING) == [(PING, ACK, 0, b"12345678")]

    play(scenario)


def test_padding_and_headers_in_parts_are_understood() -> None:
    async def scenario(server: Server) -> None:
        server.greet()
        stream = await server.ask()
        server.say(
            frame(HEADERS, END_HEADERS | PADDED, stream.id, b"\x02" + OK + b"\0\0"),
            frame(DATA, PADDED, stream.id, b"\x03" + message(b"padded") + b"\0\0\0"),
            frame(HEADERS, END_STREAM, stream.id, WELL[:5]),
            frame(CONTINUATION, 0, stream.id, WELL[5:9]),
            frame(CONTINUATION, END_HEADERS, stream.id, WELL[9:]),
        )
        assert await stream.receive_all() == b"padded"

    play(scenario)


def test_what_the_server_says_in_the_end_is_the_error() -> None:
    async def scenario(server: Server) -> None:
        server.greet()
        stream = await server.ask()
        trailers = {"grpc-status": "5", "grpc-message": "etcdserver: requested lease not found%3A gone"}
        server.say(frame(HEADERS, END_HEADERS | END_STREAM, stream.id, OK + hpack.encode(trailers)))
        error = await error_of(stream.receive_all())
        assert (error.code, error.sent) == (Status.NOT_FOUND, True)
        assert error.details == "etcdserver: requested lease not found: gone"

    play(scenario)


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([frame(HEADERS, END_HEADERS, 1, b"\x8d")], Status.UNIMPLEMENTED),
        ([frame(HEADERS, END_HEADERS | END_STREAM, 1, OK)], Status.UNKNOWN),
        ([frame(HEADERS, END_HEADERS, 1, OK), frame(DATA, END_STREAM, 1, message(b"x"))], Status.UNKNOWN),
        ([frame(RESET, 0, 1, pack(">I", 2))], Status.INTERNAL),
        ([frame(RESET, 0, 1, pack(">I", 8))], Status.CANCELLED),
        ([frame(HEADERS, END_HEADERS | END_STREAM, 1, OK + WELL)], Status.INTERNAL),
    ],
    ids=["HTTP status 404", "no status", "an end without trailers", "reset", "reset: cancelled", "no message"],
)
def test_an_answer_that_is_none_is_an_error(frames: list[bytes], code: Status) -> None:
    async def scenario(server: Server) -> None:
        server.greet()
        stream = await server.ask()
        server.say(*frames)
        assert (await error_of(stream.receive_all())).code is code
        server.say(answer(3, b"late, of nothing"))
        assert server.connection.usable

    play(scenario)


def test_a_stream_that_the_server_refused_was_never_seen() -> None:
    async def scenario(server: Server) -> None:
        server.greet()
        stream = await server.ask()
        server.say(frame(RESET, 0, stream.id, pack(">I", 7)))
        error = await error_of(stream.receive_all())
        assert (error.code, error.sent) == (Status.UNAVAILABLE, False)

    play(scenario)


def test_a_large_request_waits_for_the_servers_windows() -> None:
    async def scenario(server: Server) -> None:
        server.greet(window=50_000)
        text = bytes(range(256)) * 600
        stream = await server.ask(text)
        first = server.heard(DATA)
        assert max(len(data) for _, _, _, data in first) <= 16_384
        assert sum(len(data) for _, _, _, data in first) == 50_000
        server.say(frame(WINDOW_UPDATE, 0, stream.id, pack(">I", 1_000_000)))
        second = server.heard(DATA)
        assert sum(len(data) for _, _, _, data in second) == 65_535 - 50_000
        server.say(frame(WINDOW_UPDATE, 0, 0, pack(">I", 1_000_000)))
        third = server.heard(DATA)
        assert b"".join(data for _, _, _, data in [*first, *second, *third]) == message(text)
        ends = [flags for _, flags, _, _ in [*first, *second, *third]]
        assert ends == [0] * (len(ends) - 1) + [END_STREAM]

    play(scenario)


def test_a_window_made_larger_by_settings_holds_for_what_is_under_way() -> None:
    async def scenario(server: Server) -> None:
        server.greet(window=10)
        await server.ask(b"x" * 100)
        assert sum(len(data) for _, _, _, data in server.heard(DATA)) == 10
        server.greet(window=1000)
        assert sum(len(data) for _, _, _, data in server.heard(DATA)) == 95

    play(scenario)


def test_the_server_may_go_on_while_somebody_reads_and_not_when_nobody_does() -> None:
    async def scenario(server: Server) -> None:
        server.greet()
        stream = await server.ask(last=False)
        server.say(frame(HEADERS, END_HEADERS, stream.id, OK))
        server.heard()
        piece = message(b"x" * 10_000)
        sent = given = 0
        while sent - given + len(piece) <= WINDOW:
            server.say(frame(DATA, 0, stream.id, piece))
            sent += len(piece)
            given += _given(server, stream)
        assert sent < 2 * WINDOW
        for _ in range(sent // len(piece)):
            assert await stream.receive() == b"x" * 10_000
            given += _given(server, stream)
        assert sent - given < WINDOW // 2

    play(scenario)


def test_one_message_may_be_larger_than_the_window() -> None:
    async def scenario(server: Server) -> None:
        server.greet()
        stream = await server.ask()
        server.say(frame(HEADERS, END_HEADERS, stream.id, OK))
        server.heard()
        data = message(b"x" * 5 * WINDOW)
        sent = given = 0
        while data:
            assert sent - given + len(data[:16_384]) <= WINDOW
            server.say(frame(DATA, 0, stream.id, data[:16_384]))
            sent += len(data[:16_384])
            data = data[16_384:]
            given += _given(server, stream)
        server.say(frame(HEADERS, END_HEADERS | END_STREAM, stream.id, WELL))
        assert len(await stream.receive_all()) == 5 * WINDOW

    play(scenario)


def _given(server: Server, stream: Stream) -> int:
    return sum(unpack_from(">I", data)[0] for _, _, number, data in server.heard(WINDOW_UPDATE) if number == stream.id)


def test_no_more_streams_than_the_server_takes() -> None:
    async def scenario(server: Server) -> None:
        server.greet(most_streams=2)
        first, _ = await server.ask(), await server.ask()
        async with asyncio.TaskGroup() as group:
            third = group.create_task(server.ask())
            await asyncio.sleep(0)
            assert not third.done()
            server.say(answer(first.id, b"done"))
        assert third.result().id == 5

    play(scenario)


def test_a_connection_that_has_used_all_its_streams_ends_with_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http2, "_LAST_STREAM", 3)

    async def scenario(server: Server) -> None:
        server.greet()
        first, last = await server.ask(), await server.ask()
        assert not (await error_of(server.ask())).sent
        server.say(answer(first.id, b"1"), answer(last.id, b"2"))
        assert [await first.receive_all(), await last.receive_all()] == [b"1", b"2"]
        assert server.wire.aborted

    play(scenario)


def test_a_server_that_stops_answers_what_it_has_seen_and_nothing_else() -> None:
    async def scenario(server: Server) -> None:
        server.greet()
        seen, unseen = await server.ask(), await server.ask()
        server.say(frame(GOAWAY, 0, 0, pack(">II", seen.id, 0)))
        error = await error_of(unseen.receive_all())
        assert (error.code, error.sent) == (Status.UNAVAILABLE, False)
        assert not (await error_of(server.ask())).sent
        assert not server.wire.aborted
        server.say(answer(seen.id, b"seen"))
        assert await seen.receive_all() == b"seen"
        assert server.wire.aborted

    play(scenario)


def test_a_connection_that_is_lost_ends_all_that_is_under_way_and_leaves_what_was_done_in_doubt() -> None:
    async def scenario(server: Server) -> None:
        server.greet()
        streams = [await server.ask() for _ in range(3)]
        server.connection.connection_lost(ConnectionResetError("reset by peer"))
        for stream in streams:
            error = await error_of(stream.receive_all())
            assert (error.code, error.sent) == (Status.UNAVAILABLE, True)
            assert "reset by peer" in error.details

    play(scenario)


def test_a_call_that_is_cancelled_is_told_to_the_server_and_its_late_answer_dropped() -> None:
    async def scenario(server: Server) -> None:
        server.greet()
        stream, other = await server.ask(), await server.ask()
        server.heard()
        stream.cancel()
        assert server.heard(RESET) == [(RESET, 0, stream.id, pack(">I", 8))]
        server.say(answer(stream.id, b"late"), answer(other.id, b"in time"))
        assert await other.receive_all() == b"in time"
        assert (await error_of(stream.receive())).code is Status.CANCELLED

    play(scenario)


def test_messages_come_one_by_one_and_those_before_an_error_first() -> None:
    async def scenario(server: Server) -> None:
        server.greet()
        stream = await server.ask(last=False)
        server.say(frame(HEADERS, END_HEADERS, stream.id, OK), frame(DATA, 0, stream.id, message(b"a") + message(b"b")))
        server.connection.connection_lost(None)
        assert [await stream.receive(), await stream.receive()] == [b"a", b"b"]
        assert (await error_of(stream.receive())).code is Status.UNAVAILABLE

    play(scenario)


def test_a_server_that_falls_silent_is_asked_and_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http2, "QUIET_S", 0.2)
    monkeypatch.setattr(http2, "ANSWER_S", 1.0)

    async def scenario(server: Server) -> None:
        server.greet()
        stream = await server.ask()

        async def asked() -> bool:
            return bool(server.heard(PING))

        for _ in range(3):  # it lives
            await aeventually(asked, within_s=5, what="the server is asked")
            server.say(frame(PING, ACK, 0, b"inaetics"))
        error = await error_of(stream.receive_all())
        assert (error.code, error.sent) == (Status.UNAVAILABLE, True)
        assert "no sign of life" in error.details
        assert server.wire.aborted

    play(scenario)


def test_a_server_that_speaks_is_not_asked_and_nobody_is_while_nothing_is_under_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http2, "QUIET_S", 0.3)

    async def scenario(server: Server) -> None:
        server.greet()
        stream = await server.ask(last=False)
        server.say(frame(HEADERS, END_HEADERS, stream.id, OK))
        for _ in range(8):
            await asyncio.sleep(0.1)  # less than `QUIET_S`, for longer than that
            server.say(frame(DATA, 0, stream.id, message(b"news")))
        asked = len(server.heard(PING))  # a busy machine may make one of the pauses long
        assert asked < 3
        stream.cancel()
        server.heard()
        await asyncio.sleep(0.7)
        assert server.heard(PING) == []
        assert server.connection.usable

    play(scenario)


_NONSENSE = {
    "HTTP/1": b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
    "a frame larger than allowed": frame(DATA, 0, 1, b"x" * 16_385),
    "a push": frame(5, 0, 1, b"xxxx"),
    "headers that cannot be read": frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\xff\xff\xff\xff\xff\xff\xff\xff"),
    "headers without an end": frame(HEADERS, 0, 1, OK) + frame(PING, 0, 0, b"12345678"),
    "a continuation of nothing": frame(CONTINUATION, END_HEADERS, 1, OK),
    "a reset cut short": frame(RESET, 0, 1, b""),
    "a window cut short": frame(WINDOW_UPDATE, 0, 1, b"x"),
    "a farewell cut short": frame(GOAWAY, 0, 0, b"x"),
    "settings cut short": frame(SETTINGS, 0, 0, b"xxx"),
    "a compressed message": frame(HEADERS, END_HEADERS, 1, OK) + frame(DATA, 0, 1, b"\x01\0\0\0\0"),
    "padding without data": frame(DATA, PADDED, 1, b""),
}


@pytest.mark.parametrize("said", _NONSENSE.values(), ids=_NONSENSE.keys())
def test_who_does_not_speak_as_it_should_is_left(said: bytes) -> None:
    async def scenario(server: Server) -> None:
        server.greet()
        stream = await server.ask()
        server.say(said)
        assert (await error_of(stream.receive_all())).code is Status.UNAVAILABLE
        assert server.wire.aborted
        assert not server.connection.usable

    play(scenario)


@given(
    st.lists(st.tuples(st.integers(0, 10), st.integers(0, 255), st.integers(0, 4), st.binary(max_size=20)), max_size=8)
)
def test_whatever_is_said_every_call_ends_with_the_connection(said: list[tuple[int, int, int, bytes]]) -> None:
    async def scenario(server: Server) -> None:
        server.greet()
        stream = await server.ask()
        for each in said:
            if server.wire.aborted:
                break
            server.say(frame(*each))
        await server.connection.close("over")
        if not stream.ended:
            raise AssertionError("a call outlives its connection")

    play(scenario)
