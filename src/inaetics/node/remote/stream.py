"""Bytes both ways over one TCP connection: one thread receives while any thread sends.

The socket blocks, and the kernel keeps the receiver's time: Python's own timeouts cost a poll for every send and
receive. Senders do not wait for each other: whoever finds another sending leaves its frame to that one, so many small
frames of many threads travel in few system calls. A sender whose time is over while the other side takes nothing leaves
what is unsent behind; the next sender or receiver goes on with it, so a frame is never broken off in its middle.

With TLS, OpenSSL sees only memory: a session may not be read by one thread and written by another at the same time.
"""

from __future__ import annotations

import select
import socket
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from inaetics.override import override

SLICE_S = 1.0
"""How long a receiver with a time limit sleeps at most: meanwhile a sender may have left something unsent."""
SMALL = 64 * 1024
"""A frame up to this size is left to the thread that is sending; a larger one waits for its turn."""
MAX_LEFT = 4 * 1024 * 1024
"""Bytes that may be left to the thread that is sending; beyond that everybody waits for their turn."""

_NOTHING = memoryview(b"")


class NotSent(ConnectionError):
    """The frame cannot have arrived whole: it may be sent again on another connection."""


class Stream:
    """Plain TCP. After an error other than `TimeoutError` close it."""

    def __init__(self, connected: socket.socket) -> None:
        connected.settimeout(None)
        self._socket = connected
        self._send = connected.send
        self._receive: Callable[[int], bytes] = connected.recv
        self._turn = threading.Lock()
        self._left: deque[bytes] = deque()
        self._left_bytes = 0
        self._rest = _NOTHING
        self._limit_s = 0.0

    def send(self, frame: bytes, *, within_s: float) -> None:
        """Send a frame, or leave it to whoever is sending.

        Raises `NotSent`, and `TimeoutError` when the other side takes nothing for `within_s`: it may still go out then.
        """
        if self._left or not self._turn.acquire(blocking=False):
            if len(frame) <= SMALL and self._left_bytes <= MAX_LEFT:
                self._leave(frame)
                self._send_left(time.monotonic() + within_s)
                return
            if not self._turn.acquire(timeout=max(within_s, 0)):
                raise NotSent("the connection is busy, and the other side takes nothing")
        try:
            if self._rest or self._left:
                self._rest_first(within_s)
            self._rest = self._transmit(frame)
            if self._rest:
                self._send_rest(time.monotonic() + within_s)
        finally:
            self._turn.release()
        if self._left:
            self._send_left(time.monotonic() + within_s)

    def begin(self, frame: bytes) -> None:
        """As `send`, by the thread that receives next and so must not wait: what is not taken now goes out then."""
        if self._left or self._rest or not self._turn.acquire(blocking=False):
            if self._left_bytes > MAX_LEFT:
                raise NotSent("the other side takes nothing")
            self._leave(frame)
        else:
            try:
                self._rest = self._transmit(frame)
            finally:
                self._turn.release()
        if self._left:
            with suppress(TimeoutError):  # whoever sends or receives next goes on with it
                self._send_left(0.0)

    def receive(self, most: int, *, within_s: float | None = None) -> bytes:
        """What has come, about `most` bytes, at least one; nothing at the end. For one thread at a time.

        Raises `TimeoutError` when nothing comes `within_s`.
        """
        if within_s is None:
            if self._limit_s:
                self._limit(0.0)
            return self._receive(most)
        if not self._rest and not self._left:  # nearly always
            if within_s < SLICE_S or self._limit_s != SLICE_S:
                self._limit(min(within_s, SLICE_S))
            try:
                return self._receive(most)
            except BlockingIOError:
                within_s -= self._limit_s
        return self._receive_slowly(most, time.monotonic() + within_s)

    def readable(self) -> bool:
        """Whether something, or the end, can be received without waiting."""
        return self._poll(select.POLLIN, 0) != 0

    def close(self) -> None:
        """Close at once; a thread that waits on it wakes. Idempotent."""
        with suppress(OSError):  # not connected any more
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _sealed(self, frame: bytes) -> bytes:
        """What travels for `frame`. Called in the order in which it travels."""
        return frame

    def _receive_slowly(self, most: int, end: float) -> bytes:
        """Receive in slices, and send meanwhile what others left."""
        while (within_s := end - time.monotonic()) > 0:
            if self._rest or self._left:
                self._go_on_sending(end)
            self._limit(min(within_s, SLICE_S))
            with suppress(BlockingIOError):  # nothing came in this slice
                return self._receive(most)
        raise TimeoutError("the other side says nothing")

    def _transmit(self, frame: bytes) -> memoryview:
        """Send a frame without waiting; returns what was not taken. Raises `NotSent`."""
        try:
            sent = self._send(frame, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return memoryview(frame)
        except OSError as error:
            raise NotSent(*error.args) from error
        return _NOTHING if sent == len(frame) else memoryview(frame)[sent:]

    def _leave(self, frame: bytes) -> None:
        self._left_bytes += len(frame)  # two at once may lose a sum: it is set to nothing when all is sent
        self._left.append(frame)

    def _send_left(self, end: float) -> None:
        """Send what was left, unless another thread does. Looked at again after every turn: none stays behind."""
        while (self._left or self._rest) and self._turn.acquire(blocking=False):
            try:
                self._send_rest(end)
            finally:
                self._turn.release()

    def _rest_first(self, within_s: float) -> None:
        """As `_send_rest`, before anything of a new frame: so that one is surely not sent when this fails."""
        try:
            self._send_rest(time.monotonic() + within_s)
        except OSError as error:
            raise NotSent(*error.args) from error

    def _send_rest(self, end: float) -> None:
        """Send everything there is. The turn is held."""
        while True:
            if not self._rest:
                if not self._left:
                    self._left_bytes = 0
                    return
                self._rest = memoryview(self._sealed(self._take_left()))
            try:
                self._rest = self._rest[self._socket.send(self._rest, socket.MSG_DONTWAIT) :]
            except BlockingIOError as error:
                if not self._poll(select.POLLOUT, end - time.monotonic()):
                    raise TimeoutError("the other side takes nothing") from error

    def _take_left(self) -> bytes:
        frames = [self._left.popleft()]
        size = len(frames[0])
        while self._left and size < SMALL:
            frames.append(self._left.popleft())
            size += len(frames[-1])
        return b"".join(frames)

    def _go_on_sending(self, end: float) -> None:
        """Send what others left behind until something can be received, or for a while."""
        until = min(end, time.monotonic() + SLICE_S)
        while (self._rest or self._left) and time.monotonic() < until:
            ready = self._poll(select.POLLIN | select.POLLOUT, until - time.monotonic())
            if ready & ~select.POLLOUT:
                return
            with suppress(TimeoutError):  # not all of it: go on
                self._send_left(0.0)

    def _poll(self, events: int, seconds: float) -> int:
        """What of `events` is so, or an error; 0 when the time is over."""
        poll = select.poll()
        poll.register(self._socket, events)
        found = poll.poll(max(seconds, 0) * 1000)
        return found[0][1] if found else 0

    def _limit(self, seconds: float) -> None:
        """Let the kernel end a receive after `seconds` (0: never); to one per cent, so that it is seldom told."""
        if seconds == self._limit_s or abs(seconds - self._limit_s) <= seconds / 100:
            return
        seconds = max(seconds, 0.001) if seconds else 0.0
        time_value = struct.pack("@ll", int(seconds), int(seconds % 1 * 1_000_000))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, time_value)
        self._limit_s = seconds


class TlsStream(Stream):
    """TLS over TCP, from the handshake on; use `secured`."""

    def __init__(
        self, connected: socket.socket, session: ssl.SSLObject, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO
    ) -> None:
        super().__init__(connected)
        self._session = session
        self._incoming = incoming
        self._outgoing = outgoing
        self._lock = threading.Lock()
        sealed = self._receive
        self._receive = lambda most: self._opened(sealed, most)

    @override
    def _transmit(self, frame: bytes) -> memoryview:
        return super()._transmit(self._sealed(frame))

    @override
    def _sealed(self, frame: bytes) -> bytes:
        with self._lock:
            done = self._session.write(frame) if frame else 0
            while done < len(frame):  # a record at a time
                done += self._session.write(memoryview(frame)[done:])
            return self._outgoing.read()

    def _opened(self, receive: Callable[[int], bytes], most: int) -> bytes:
        while True:
            sealed = receive(most)
            if not sealed:
                return b""
            with self._lock:
                self._incoming.write(sealed)
                plain = self._open()
                reply = self._outgoing.pending  # such as an answer to a change of keys
            if reply:
                self.send(b"", within_s=SLICE_S)
            if plain:
                return plain

    def _open(self) -> bytes:
        found: list[bytes] = []
        try:
            while self._incoming.pending or self._session.pending():
                data = self._session.read(_RECORD)
                if not data:
                    break
                found.append(data)
        except ssl.SSLWantReadError:  # the rest of a record is on its way
            pass
        return found[0] if len(found) == 1 else b"".join(found)


_RECORD = 16 * 1024
"""The most that one record of TLS holds."""


def secured(
    connected: socket.socket, context: ssl.SSLContext, *, within_s: float, server_name: str | None = None
) -> TlsStream:
    """Shake hands: as the caller of `server_name`, or as the provider without one. Raises `OSError`, also for TLS."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(incoming, outgoing, server_side=server_name is None, server_hostname=server_name)
    end = time.monotonic() + within_s
    while True:
        connected.settimeout(max(end - time.monotonic(), 0.001))
        try:
            session.do_handshake()
        except ssl.SSLWantReadError:
            connected.sendall(outgoing.read())
        except ssl.SSLError:
            with suppress(OSError):
                connected.sendall(outgoing.read())  # tells the other why
            raise
        else:
            connected.sendall(outgoing.read())
            return TlsStream(connected, session, incoming, outgoing)
        data = connected.recv(_RECORD)
        if not data:
            raise ConnectionResetError("the other side closed the connection while shaking hands")
        incoming.write(data)


def prepare(connected: socket.socket) -> None:
    """Send small frames at once, and notice within seconds that the other machine is gone."""
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 2)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 10_000)
