"""One connection of HTTP/2 (RFC 9113), as far as a client of gRPC needs it: we ask on streams, the server answers.

No threads and one timer: a connection on which nothing is under way costs nothing. While something is, and nothing
arrived for `QUIET_S`, the server is asked whether it lives, and the connection is ended when it does not answer.

Promises: every stream ends, with an error if the connection does; an error says whether the server can have seen the
request; a reader that takes nothing keeps at most `WINDOW` bytes in memory beside the message that it has not begun.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from struct import error as BadFrame
from struct import pack, unpack_from

from inaetics.override import override
from inaetics.store import hpack
from inaetics.store.rpc import RpcError, Status, of_reset, of_trailers
from inaetics.store.stream import WINDOW, Stream

QUIET_S = 2.0
"""So long nothing may arrive while something is under way; the renewals of a lease of 5 s come more often."""

ANSWER_S = 1.0
"""How long the answer to the question whether it lives may take."""

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PUSH, _PING, _GOAWAY, _WINDOW_UPDATE, _CONTINUATION = 0, 1, 3, 4, 5, 6, 7, 8, 9
_ACK = _END_STREAM = 0x1
_END_HEADERS, _PADDED, _PRIORITY = 0x4, 0x8, 0x20
_TABLE_SIZE, _ENABLE_PUSH, _MAX_STREAMS, _INITIAL_WINDOW, _FRAME_SIZE = 1, 2, 3, 4, 5
_CANCEL = 8

_LARGEST_FRAME = 16_384
_DEFAULT_WINDOW = 65_535
_ALL_STREAMS = 16 * 1024 * 1024
"""The window of all streams together: given back as it is used, because each stream has one of its own."""

_LAST_STREAM = 2**31 - 3
_PING_BODY = b"inaetics"


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """One frame as it is sent."""
    return pack(">IBI", len(payload) << 8 | kind, flags, stream) + payload


class Connection(asyncio.Protocol):
    """Made by `create_connection`. `authority` is whom the requests name.

    `usable` is false once it takes no new streams.
    """

    def __init__(self, scheme: str, authority: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._common = {":method": "POST", ":scheme": scheme, ":authority": authority}
        self._blocks: dict[str, bytes] = {}
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._headers: tuple[int, int, bytes] | None = None  # begun, and to be continued: stream, flags, block
        self._to_send: list[bytes] = []
        self._streams: dict[int, Stream] = {}
        self._next_stream = 1
        self._window = _DEFAULT_WINDOW
        self._stream_window = _DEFAULT_WINDOW
        self._frame_size = _LARGEST_FRAME
        self._most_streams = 2**31
        self._queue: deque[asyncio.Future[None]] = deque()
        self._used = 0
        self._heard_at = 0.0
        self._asked_at: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._greeted = asyncio.Event()
        self._closed = self._loop.create_future()
        self._why = ""
        self._takers: dict[int, Callable[[int, int, bytes], None]] = {
            _DATA: self._take_data,
            _HEADERS: self._take_headers,
            _CONTINUATION: self._take_continuation,
            _RESET: self._take_reset,
            _SETTINGS: self._take_settings,
            _PUSH: self._take_push,
            _PING: self._take_ping,
            _GOAWAY: self._take_goaway,
            _WINDOW_UPDATE: self._take_window,
        }
        self.usable = True

    @property
    def gone(self) -> bool:
        """Whether its socket is closed."""
        return self._closed.done()

    # What callers do.

    async def greeted(self) -> None:
        """Wait for the server's first words, so that nothing is sent to one that is not there. Raises RpcError."""
        await self._greeted.wait()
        if not self.usable:
            raise RpcError(Status.UNAVAILABLE, self._why, sent=False)

    async def open(self, path: str, message: bytes, *, last: bool) -> Stream:
        """Ask for `path` with a first message, the only one if `last`; waits while the server takes no more streams."""
        while self.usable and len(self._streams) >= self._most_streams:
            free = self._loop.create_future()
            self._queue.append(free)
            await free
        if not self.usable:
            raise RpcError(Status.UNAVAILABLE, self._why, sent=False)
        stream = Stream(self, self._next_stream, self._stream_window)
        self._next_stream += 2
        self._streams[stream.id] = stream
        if self._next_stream > _LAST_STREAM:
            self._retire("it has no more streams")
        self._to_send.append(frame(_HEADERS, _END_HEADERS, stream.id, self._block(path)))
        stream.send(message, last=last)
        self._keep_watch()
        return stream

    async def idle(self) -> None:
        """Wait until nothing is under way."""
        while self._streams and not self._closed.done():
            free = self._loop.create_future()
            self._queue.append(free)
            await free

    async def close(self, why: str) -> None:
        """End it; returns when the socket is closed."""
        self.end(why)
        await asyncio.shield(self._closed)

    # What streams do.

    def send(self, stream: Stream) -> None:
        """Send what waits in `stream`, as far as the windows allow."""
        while stream.waits and (room := min(self._window, stream.window, self._frame_size)) > 0:
            payload, last = stream.take(room)
            self._window -= len(payload)
            self._to_send.append(frame(_DATA, _END_STREAM if last else 0, stream.id, payload))
        self.flush()

    def give(self, stream: Stream, size: int) -> None:
        """Let the server send `size` bytes more on `stream`."""
        self._to_send.append(frame(_WINDOW_UPDATE, 0, stream.id, pack(">I", size)))

    def forget(self, stream: Stream, *, reset: bool) -> None:
        """`stream` has ended; with `reset` the server is told so."""
        if self._streams.pop(stream.id, None) is None:
            return
        if reset:
            self._to_send.append(frame(_RESET, 0, stream.id, pack(">I", _CANCEL)))
        self._wake()
        self._end_if_left()

    def flush(self) -> None:
        """Write what is to be sent."""
        if self._to_send and self._transport is not None:
            self._transport.write(b"".join(self._to_send))
        self._to_send.clear()

    # What the transport does.

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        wishes = ((_TABLE_SIZE, 0), (_ENABLE_PUSH, 0), (_INITIAL_WINDOW, WINDOW))
        settings = b"".join(pack(">HI", *wish) for wish in wishes)
        more = pack(">I", _ALL_STREAMS - _DEFAULT_WINDOW)
        self._to_send += [_PREFACE, frame(_SETTINGS, 0, 0, settings), frame(_WINDOW_UPDATE, 0, 0, more)]
        self.flush()

    @override
    def data_received(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        self._asked_at = None
        self._received += data
        try:
            self._take_frames()
        except (ValueError, IndexError, BadFrame) as error:
            self.end(f"the server does not speak HTTP/2 as it should: {error}")
        self.flush()

    @override
    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self.end(f"the connection was lost: {error}" if error else "the server closed the connection")
        if not self._closed.done():
            self._closed.set_result(None)

    # Frames.

    def _take_frames(self) -> None:
        received, at = self._received, 0
        while len(received) - at >= 9:
            head, flags, stream = unpack_from(">IBI", received, at)
            size, kind = head >> 8, head & 0xFF
            if size > _LARGEST_FRAME:
                raise ValueError(f"a frame of {size} bytes, which was never allowed")
            if len(received) - at < 9 + size:
                break
            payload = bytes(received[at + 9 : at + 9 + size])
            at += 9 + size
            self._take(kind, flags, stream & 0x7FFFFFFF, payload)
        del received[:at]

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if self._headers is not None and kind != _CONTINUATION:
            raise ValueError("headers without their end")
        if take := self._takers.get(kind):  # others are of extensions that we do not know
            take(flags, stream, payload)

    def _take_push(self, flags: int, stream: int, payload: bytes) -> None:
        raise ValueError("a push, which was never allowed")

    def _take_reset(self, flags: int, stream: int, payload: bytes) -> None:
        if found := self._streams.get(stream):
            ending = of_reset(*unpack_from(">I", payload))
            self.forget(found, reset=False)
            found.end(ending)

    def _take_ping(self, flags: int, stream: int, payload: bytes) -> None:
        if not flags & _ACK:
            self._to_send.append(frame(_PING, _ACK, 0, payload))

    def _take_data(self, flags: int, stream: int, payload: bytes) -> None:
        self._used += len(payload)
        if self._used >= _ALL_STREAMS // 2:
            self._to_send.append(frame(_WINDOW_UPDATE, 0, 0, pack(">I", self._used)))
            self._used = 0
        found = self._streams.get(stream)
        if found is None:
            return  # it was cancelled
        found.receive_data(_unpadded(flags, payload), counted=len(payload))
        if flags & _END_STREAM:
            self.forget(found, reset=False)
            found.end(of_trailers({}))

    def _take_headers(self, flags: int, stream: int, payload: bytes) -> None:
        block = _unpadded(flags, payload)[5 if flags & _PRIORITY else 0 :]
        self._take_block(flags, flags, stream, block)

    def _take_continuation(self, flags: int, stream: int, payload: bytes) -> None:
        if self._headers is None or self._headers[0] != stream:
            raise ValueError("a continuation of nothing")
        (_, first, before), self._headers = self._headers, None
        self._take_block(flags, first, stream, before + payload)

    def _take_block(self, flags: int, first: int, stream: int, block: bytes) -> None:
        if not flags & _END_HEADERS:
            self._headers = (stream, first, block)
            return
        found = self._streams.get(stream)
        if found is None:
            return
        if first & _END_STREAM or not (found.answered or hpack.is_ok(block)):
            ending = of_trailers(hpack.decode(block))
            self.forget(found, reset=not (first & _END_STREAM and found.sent_all))
            found.end(ending)
        found.answered = True

    def _take_settings(self, flags: int, stream: int, payload: bytes) -> None:
        if flags & _ACK:
            return
        for at in range(0, len(payload), 6):
            name, value = unpack_from(">HI", payload, at)
            if name == _INITIAL_WINDOW:
                for each in self._streams.values():
                    each.window += value - self._stream_window
                self._stream_window = value
            elif name == _FRAME_SIZE:
                self._frame_size = value
            elif name == _MAX_STREAMS:
                self._most_streams = value
        self._to_send.append(frame(_SETTINGS, _ACK, 0, b""))
        self._greeted.set()
        self._go_on()

    def _take_window(self, flags: int, stream: int, payload: bytes) -> None:
        more = unpack_from(">I", payload)[0] & 0x7FFFFFFF
        if not stream:
            self._window += more
            self._go_on()
        elif found := self._streams.get(stream):
            found.window += more
            self.send(found)

    def _go_on(self) -> None:
        for stream in list(self._streams.values()):
            if stream.waits:
                self.send(stream)

    def _take_goaway(self, flags: int, stream: int, payload: bytes) -> None:
        """The server takes no new streams; those after the last it has seen were never seen."""
        last = unpack_from(">I", payload)[0] & 0x7FFFFFFF
        self._retire("the server is stopping")
        for unseen in [found for number, found in self._streams.items() if number > last]:
            self.forget(unseen, reset=False)
            unseen.end(RpcError(Status.UNAVAILABLE, "the server is stopping", sent=False))

    # Its end, and how it is noticed.

    def _retire(self, why: str) -> None:
        """Take no new streams; with the last one that is under way the connection ends."""
        self.usable, self._why = False, why
        self._end_if_left()

    def _end_if_left(self) -> None:
        if not self.usable and not self._streams:
            self.end(self._why)

    def end(self, why: str) -> None:
        """End it and every stream, now."""
        if self.usable:
            self.usable, self._why = False, why
        for stream in list(self._streams.values()):
            self.forget(stream, reset=False)
            stream.end(RpcError(Status.UNAVAILABLE, why))
        self._wake()
        self._greeted.set()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def _wake(self) -> None:
        """Have those who wait for streams to end look again."""
        while self._queue:
            if not (waiter := self._queue.popleft()).done():
                waiter.set_result(None)

    def _keep_watch(self) -> None:
        if self._timer is None:
            self._heard_at = self._loop.time()
            self._timer = self._loop.call_later(QUIET_S, self._look)

    def _look(self) -> None:
        """Ask the server for a sign of life if it has given none, or give it up; look again in time."""
        self._timer = None
        if not self._streams:
            return  # the next one that is opened keeps watch again
        now = self._loop.time()
        due = self._heard_at + QUIET_S
        if self._asked_at is not None:
            self.end(f"the server gave no sign of life for {now - self._heard_at:.1f} s")
            return
        if due <= now:
            self._asked_at = now
            self._to_send.append(frame(_PING, 0, 0, _PING_BODY))
            self.flush()
            due = now + ANSWER_S
        self._timer = self._loop.call_at(due, self._look)

    def _block(self, path: str) -> bytes:
        block = self._blocks.get(path)
        if block is None:
            block = self._blocks[path] = hpack.encode({**self._common, ":path": path, **_REQUEST})
        return block


_REQUEST = {
    "content-type": "application/grpc",
    "te": "trailers",
    "hasleader": "true",  # asks a member that is cut off to refuse, instead of answering when it is healed
}


def _unpadded(flags: int, payload: bytes) -> bytes:
    if not flags & _PADDED:
        return payload
    return payload[1 : len(payload) - payload[0]]
