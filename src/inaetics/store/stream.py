"""One call on a connection: messages of gRPC both ways, each with a prefix of five bytes, and how the call ended."""

from __future__ import annotations

import asyncio
from collections import deque
from struct import pack, unpack_from
from typing import Protocol

from inaetics.store.rpc import RpcError, Status

WINDOW = 1024 * 1024
"""So many bytes the server may send on a stream before anybody has read them."""


class Carrier(Protocol):
    """What a stream needs of its connection."""

    def send(self, stream: Stream) -> None: ...
    def give(self, stream: Stream, size: int) -> None: ...
    def forget(self, stream: Stream, *, reset: bool) -> None: ...
    def flush(self) -> None: ...


class Stream:
    """Opened by `Connection.open`. One task reads it."""

    __slots__ = (
        "_carrier",
        "_error",
        "_last",
        "_messages",
        "_outgoing",
        "_partial",
        "_reader",
        "_unread",
        "_used",
        "answered",
        "ended",
        "id",
        "sent_all",
        "window",
    )

    def __init__(self, carrier: Carrier, number: int, window: int) -> None:
        self._carrier = carrier
        self._outgoing: deque[bytes] = deque()
        self._last = False
        self._partial = bytearray()
        self._messages: deque[bytes] = deque()
        self._unread = 0
        self._used = 0
        self._reader: asyncio.Future[None] | None = None
        self._error: RpcError | None = None
        self.id = number
        self.window = window
        """How much may still be sent."""
        self.sent_all = False
        self.answered = False
        self.ended = False

    # For its user.

    def send(self, message: bytes, *, last: bool = False) -> None:
        """Send a message; it goes out as soon as the server takes it. Nothing is sent on a stream that has ended."""
        if self.ended:
            return
        self._outgoing.append(pack(">BI", 0, len(message)) + message)
        self._last = last
        self._carrier.send(self)

    async def receive(self) -> bytes | None:
        """Return the next message; None when the call has ended well. Raises RpcError when it has not."""
        while not self._messages:
            if self.ended:
                self._check()
                return None
            await self._news()
        message = self._messages.popleft()
        self._unread -= len(message)
        self._give()
        return message

    async def receive_all(self) -> bytes:
        """Return the only message of a call, once it has ended well. Raises RpcError when it has not."""
        while not self.ended:
            await self._news()
        self._check()
        if len(self._messages) != 1:
            raise RpcError(Status.INTERNAL, f"the answer has {len(self._messages)} messages, not one")
        return self._messages.popleft()

    def cancel(self) -> None:
        """End the call; whoever reads it is told so."""
        if not self.ended:
            self._carrier.forget(self, reset=True)
            self._carrier.flush()
            self.end(RpcError(Status.CANCELLED, "cancelled"))

    # For its connection.

    @property
    def waits(self) -> bool:
        """Whether there is something to send."""
        return bool(self._outgoing)

    def take(self, room: int) -> tuple[bytes, bool]:
        """Return at most `room` bytes of what waits, and whether they are the last of all."""
        piece = self._outgoing.popleft()
        if len(piece) > room:
            self._outgoing.appendleft(piece[room:])
            piece = piece[:room]
        self.window -= len(piece)
        self.sent_all = self._last and not self._outgoing
        return piece, self.sent_all

    def receive_data(self, data: bytes, *, counted: int) -> None:
        """Take what has arrived; it used up `counted` bytes of the window."""
        self._used += counted
        partial = self._partial
        partial += data
        at = 0
        while len(partial) - at >= 5:
            packed, size = unpack_from(">BI", partial, at)
            if packed:
                raise ValueError("a message is compressed, which was never allowed")
            if len(partial) - at < 5 + size:
                break
            self._messages.append(bytes(partial[at + 5 : at + 5 + size]))
            self._unread += size
            at += 5 + size
        del partial[:at]
        self._give()
        if self._messages:
            self._wake()

    def end(self, error: RpcError | None) -> None:
        """The call has ended, well without an error."""
        if not self.ended:
            self.ended = True
            self._error = error
            self._outgoing.clear()
            self._wake()

    def _give(self) -> None:
        """Let the server go on, unless much waits for the reader."""
        if self._used >= WINDOW // 2 > self._unread and not self.ended:
            self._carrier.give(self, self._used)
            self._carrier.flush()
            self._used = 0

    def _check(self) -> None:
        if self._error is not None:
            raise self._error.with_traceback(None)

    async def _news(self) -> None:
        self._reader = asyncio.get_running_loop().create_future()
        try:
            await self._reader
        finally:
            self._reader = None

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
