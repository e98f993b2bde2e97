"""One connection to the control socket, shared by calls that overlap: requests go as they come, answers in order."""

from __future__ import annotations

import asyncio
from collections import deque
from pathlib import Path

from inaetics.override import override


class Line(asyncio.Protocol):
    """An open connection."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._waiting: deque[asyncio.Future[bytes]] = deque()
        self._begun = bytearray()

    @property
    def is_open(self) -> bool:
        """Whether a request may still be answered."""
        return self._transport is not None and not self._transport.is_closing()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    @override
    def data_received(self, data: bytes) -> None:
        self._begun += data
        if b"\n" not in data:
            return
        *lines, rest = bytes(self._begun).split(b"\n")
        self._begun = bytearray(rest)
        for line in lines:
            waiting = self._waiting.popleft() if self._waiting else None
            if waiting is not None and not waiting.done():
                waiting.set_result(line)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_exception(ConnectionResetError("it ended before the answer came"))
        self._waiting.clear()

    async def ask(self, request: bytes) -> bytes:
        """Send a request, which ends with a line end, and return the line that answers it. Raises ConnectionError."""
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("it has ended")
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting.append(answer)
        self._transport.write(request)
        return await answer

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()


class SharedLine:
    """Opens a connection for the first of calls that overlap and closes it after the last: nothing is kept between."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._line: Line | None = None
        self._opening: asyncio.Future[None] | None = None
        self._users = 0

    async def ask(self, request: bytes) -> bytes:
        """Send a request and return the line that answers it. Raises OSError; ConnectionError when it was open."""
        self._users += 1
        try:
            return await (await self._opened()).ask(request)
        finally:
            self._users -= 1
            if self._users == 0 and self._line is not None:
                self._line.close()
                self._line = None

    async def _opened(self) -> Line:
        while self._line is None or not self._line.is_open:
            if self._opening is None:
                await self._open()
            else:
                await asyncio.shield(self._opening)
        return self._line

    async def _open(self) -> None:
        """Connect; who comes meanwhile waits, and tries for itself if that fails."""
        loop = asyncio.get_running_loop()
        self._opening = opening = loop.create_future()
        try:
            _, self._line = await loop.create_unix_connection(Line, str(self._socket))
        finally:
            self._opening = None
            opening.set_result(None)
