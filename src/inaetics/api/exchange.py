"""One HTTP request over an open connection and its answer, streamed as it comes: the way to agents and to the page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import h11

_CHUNK = 64 * 1024


class Exchange:
    """One request and its answer. Raises `h11.RemoteProtocolError` and `OSError` when the other side breaks off."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT)
        self.status = 0
        self.headers: tuple[tuple[str, str], ...] = ()
        """Of the answer; the names are in lower case."""

    async def ask(
        self,
        method: str,
        target: str,
        host: str,
        *,
        within_s: float,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        upgrade: str | None = None,
    ) -> None:
        """Send the request and wait for the answer's head; status 101 counts only where an upgrade was asked for."""
        connection = [("Connection", "close")] if upgrade is None else [("Connection", "Upgrade"), ("Upgrade", upgrade)]
        length = [("Content-Length", str(len(body)))] if body else []
        self._send(h11.Request(method=method, target=target, headers=[("Host", host), *connection, *length, *headers]))
        if body:
            self._send(h11.Data(data=body))
        self._send(h11.EndOfMessage())
        await self._writer.drain()
        async with asyncio.timeout(within_s):
            while not self.status:
                self._take(await self._next())

    async def body(self) -> AsyncIterator[bytes]:
        """The answer's body, piece by piece."""
        while isinstance(event := await self._next(), h11.Data):
            yield bytes(event.data)

    def abort(self) -> None:
        """Close the connection at once, whatever is still under way. Idempotent."""
        self._writer.transport.abort()

    def _take(self, event: object) -> None:
        if isinstance(event, h11.Response) or (
            isinstance(event, h11.InformationalResponse) and event.status_code == 101
        ):
            self.status = event.status_code
            self.headers = tuple((name.decode(), value.decode("latin-1")) for name, value in event.headers)
        elif not isinstance(event, h11.InformationalResponse):
            raise h11.RemoteProtocolError("it closed the connection without an answer")

    def _send(self, event: h11.Request | h11.Data | h11.EndOfMessage) -> None:
        self._writer.write(self._http.send(event) or b"")

    async def _next(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        while True:
            event = self._http.next_event()
            if event is not h11.NEED_DATA:
                return event
            data = await self._reader.read(_CHUNK)
            if not data and not self.status:
                raise h11.RemoteProtocolError("it closed the connection without an answer")
            self._http.receive_data(data)
