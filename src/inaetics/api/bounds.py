"""What one client may cost: how long it may take to ask, how little it may read, how many there may be.

uvicorn bounds what a request's head may hold and how long a connection may idle; the rest is bounded here, and what is
no HTTP is answered with an error entity like everything else. A client that reads nothing keeps at most one answer in
memory, and that for a minute; what goes on for ever (journals, events) waits with it in its own task, within 64 KiB.
"""

from __future__ import annotations

import asyncio
import select
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import h11

from inaetics.api.peers import PeerProtocol
from inaetics.api.replies import error_reply
from inaetics.override import override

if TYPE_CHECKING:
    from asyncio import Transport

    from uvicorn.protocols.http.h11_impl import RequestResponseCycle

HEAD_WITHIN_S = 15.0
"""For a whole request's head, from its first byte or the connection's beginning."""

STALLED_S = 60.0
"""A client that has read nothing for so long is cut off, if much waits for it."""

MUCH_BYTES = 256 * 1024
"""More than a stream ever has waiting; an answer that was written at once may have it."""

HALF_CLOSED_S = 5.0
"""Whoever has closed its sending side gets its answer still, if that comes within this time."""

MAX_CONNECTIONS = 400
"""At one listener: both stay within 1,024 open files."""


class BoundedProtocol(PeerProtocol):
    """HTTP over one connection, within bounds."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._head_due: asyncio.TimerHandle | None = None
        self._stall_due: asyncio.TimerHandle | None = None
        self._left_due: asyncio.TimerHandle | None = None

    @property
    def _busy(self) -> bool:
        """Is a request being answered?"""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    @override
    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            self._say(503, f"{MAX_CONNECTIONS} clients are connected already: try again, or another control host")
        else:
            self._expect_head()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._head_due, self._stall_due, self._left_due):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    @override
    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        super().data_received(data)
        if not self._busy:
            self._expect_head()
        elif self._head_due is not None:
            self._head_due.cancel()
            self._head_due = None

    @override
    def eof_received(self) -> bool:  # type: ignore[override]
        """A client that said all it had to say may wait for its answer; over TLS there is no such thing."""
        if self.scheme == "https" or not self._busy or self.conn.their_state is h11.SEND_BODY or self._hung_up():
            return False
        self._left_due = self.loop.call_later(HALF_CLOSED_S, self.transport.close)
        return True

    @override
    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._left_due is not None and not self._busy:
            self.transport.close()

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reader(self.transport.get_write_buffer_size())

    @override
    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stall_due is not None:
            self._stall_due.cancel()
            self._stall_due = None

    @override
    def send_400_response(self, msg: str) -> None:
        if self._busy:
            self.transport.abort()
        else:
            self._say(400, "this is no HTTP request that can be understood")

    def _hung_up(self) -> bool:
        """Has the client closed both ways? A Unix socket tells; over TCP that shows with the next write."""
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), 0)
        return any(event & select.POLLHUP for _, event in poll.poll(0))

    def _expect_head(self) -> None:
        if self._head_due is None:
            self._head_due = self.loop.call_later(HEAD_WITHIN_S, self._too_slow)

    def _too_slow(self) -> None:
        if not self.conn.trailing_data[0]:
            self.transport.close()  # it has not even begun
        elif not self.transport.is_closing():
            self._say(408, f"no whole request came within {HEAD_WITHIN_S:g} s")

    def _watch_reader(self, waiting: int) -> None:
        self._stall_due = self.loop.call_later(STALLED_S, self._look_at_reader, waiting)

    def _look_at_reader(self, waited: int) -> None:
        waiting = self.transport.get_write_buffer_size()
        if waiting > MUCH_BYTES and waiting >= waited:
            self.transport.abort()
        else:
            self._watch_reader(waiting)

    def _say(self, status: int, message: str) -> None:
        """Answer what is no request, and close."""
        body = bytes(error_reply(status, message).body)
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
