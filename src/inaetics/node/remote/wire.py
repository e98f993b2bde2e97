"""The wire format of remote calls: frames on a TCP connection, each a length (4 bytes, big endian) and a msgpack array.

The first element says what the frame is::

    [0, protocol, framework]                    Hello: both sides, once, first. `framework` is the sender's id
    [1, id, endpoint, method, args, kwargs]     Call: caller to provider
    [2, id, value]                              Answer
    [3, id, kind, message]                      Failure

A caller compares the provider's Hello with the framework it means: a port may by now belong to another process. Answers
carry the id of their call. A provider answers the calls of one connection in order; a caller that wants several at once
opens several connections (a call that waits then holds up nobody, and no thread hands results to another).

Values are msgpack's own, and what msgspec encodes as such (structs, dataclasses, datetimes, enums, UUIDs).
"""

from __future__ import annotations

import select
import socket
import ssl
import struct
import time
from contextlib import suppress
from typing import Any

import msgspec

from inaetics.errors import InvalidInput, Unavailable

PROTOCOL = 1
MAX_FRAME = 64 * 1024 * 1024
"""Bytes in one frame; more is refused on both sides."""

_LENGTH = struct.Struct(">I")
_CHUNK = 64 * 1024
"""Read at once; more than 128 KB would be mapped and unmapped by the allocator for every small frame."""

Stream = socket.socket | ssl.SSLSocket


class Hello(msgspec.Struct, frozen=True, array_like=True, tag=0):
    protocol: int
    framework: str


class Call(msgspec.Struct, frozen=True, array_like=True, tag=1):
    id: int
    endpoint: str
    method: str
    args: list[Any]
    kwargs: dict[str, Any]


class Answer(msgspec.Struct, frozen=True, array_like=True, tag=2):
    id: int
    value: Any


class Failure(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """`kind` is the name of the error's class, or one of the two below."""

    id: int
    kind: str
    message: str


NO_ENDPOINT = "no such endpoint"
NO_METHOD = "no such method"

Message = Hello | Call | Answer | Failure

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def encode(message: Message) -> bytearray:
    """A whole frame. Raises `InvalidInput` for values that msgpack has no form for, and for frames over `MAX_FRAME`."""
    frame = bytearray(_LENGTH.size)
    try:
        _encoder.encode_into(message, frame, _LENGTH.size)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidInput(f"cannot send {type(message).__name__.lower()}: {error}") from error
    size = len(frame) - _LENGTH.size
    if size > MAX_FRAME:
        raise InvalidInput(f"cannot send {size} bytes in one call: at most {MAX_FRAME} (send less at a time)")
    _LENGTH.pack_into(frame, 0, size)
    return frame


def decode(payload: bytes | memoryview) -> Message:
    """What a frame says. Raises `InvalidInput` when it is none of ours."""
    try:
        return _decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"cannot understand a frame of {len(payload)} bytes: {error}") from error


class Connection:
    """Frames on one socket, for one thread at a time. After any error but `InvalidInput` of `send` close it.

    The socket blocks, and the kernel keeps the time: Python's own timeouts cost a poll for every send and receive.
    """

    def __init__(self, stream: Stream) -> None:
        stream.settimeout(None)
        self.stream = stream
        self._buffer = bytearray()
        self._limit_s = 0.0
        self._poll = select.poll()
        self._poll.register(stream, select.POLLIN | select.POLLHUP | select.POLLERR)

    def send(self, message: Message, *, within_s: float | None = None) -> None:
        self.send_frame(encode(message), within_s=within_s)

    def send_frame(self, frame: bytearray, *, within_s: float | None = None) -> None:
        """Send what `encode` made. Raises `TimeoutError` when the other takes nothing for `within_s`."""
        self._limit(within_s)
        try:
            self.stream.sendall(frame)
        except (BlockingIOError, ssl.SSLWantWriteError) as error:
            raise TimeoutError("the other side takes nothing") from error

    def receive(self, *, within_s: float | None = None) -> Message | None:
        """The next frame, or None at the end of the stream. Raises `TimeoutError` when it is not there `within_s`."""
        self._limit(within_s)
        if self._buffer:
            return self._receive_rest(within_s)
        data = self._receive_some(_CHUNK)
        if len(data) >= _LENGTH.size and len(data) == _LENGTH.size + _LENGTH.unpack_from(data)[0]:
            return decode(memoryview(data)[_LENGTH.size :])  # one frame and no more: nearly always
        self._buffer += data
        return self._receive_rest(within_s) if data else None

    def readable(self) -> bool:
        """Whether something, or the end, can be received without waiting."""
        return bool(self._poll.poll(0))

    def close(self) -> None:
        """Close at once; a thread that waits on the socket wakes. Idempotent."""
        with suppress(OSError):  # not connected any more
            self.stream.shutdown(socket.SHUT_RDWR)
        self.stream.close()

    def _receive_rest(self, within_s: float | None) -> Message | None:
        """The next frame, which has begun in the buffer or is in it."""
        deadline = None if within_s is None else time.monotonic() + within_s
        while (need := self._needed()) > len(self._buffer):
            if deadline is not None:
                self._limit(deadline - time.monotonic())
            data = self._receive_some(max(_CHUNK, need - len(self._buffer)))
            if not data:
                return None
            self._buffer += data
        payload = bytes(memoryview(self._buffer)[_LENGTH.size : need])
        del self._buffer[:need]
        return decode(payload)

    def _needed(self) -> int:
        """Bytes of the frame that begins the buffer, as far as can be known."""
        if len(self._buffer) < _LENGTH.size:
            return _LENGTH.size
        size = int(_LENGTH.unpack_from(self._buffer)[0])
        if size > MAX_FRAME:
            raise InvalidInput(f"cannot receive a frame of {size} bytes: at most {MAX_FRAME}")
        return _LENGTH.size + size

    def _receive_some(self, most: int) -> bytes:
        try:
            return self.stream.recv(most)
        except (BlockingIOError, ssl.SSLWantReadError) as error:
            raise TimeoutError("the other side says nothing") from error

    def _limit(self, seconds: float | None) -> None:
        """Let the kernel end a send or receive after `seconds`; to one per cent, so that it is seldom told."""
        wanted = 0.0 if seconds is None else max(seconds, 0.001)
        if abs(wanted - self._limit_s) <= wanted / 100:
            return
        time_value = struct.pack("@ll", int(wanted), int(wanted % 1 * 1_000_000))
        self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, time_value)
        self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, time_value)
        self._limit_s = wanted


def prepare(stream: socket.socket) -> None:
    """Send small frames at once, and notice within seconds that the other machine is gone."""
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 2)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 10_000)


def greet(connection: Connection, framework: str, *, within_s: float) -> str:
    """Exchange Hellos; returns the other's framework id. Raises `Unavailable` when the other speaks something else."""
    connection.send(Hello(PROTOCOL, framework), within_s=within_s)
    try:
        answer = connection.receive(within_s=within_s)
    except InvalidInput as error:
        raise Unavailable(f"the other side does not speak our protocol: {error}") from error
    if not isinstance(answer, Hello) or answer.protocol != PROTOCOL:
        raise Unavailable(f"the other side does not speak protocol {PROTOCOL}: {type(answer).__name__}")
    return answer.framework
