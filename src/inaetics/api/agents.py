"""Asks an agent for what only its host has: the journals of its units. A small HTTP client, over mutual TLS.

The agent's certificate carries its address, so no name is looked up.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol
from urllib.parse import quote

import h11

from inaetics.errors import InaeticsError, NotFound, Unavailable

AGENT_PORT = 49154
CONNECT_TIMEOUT_S = 3.0
_CHUNK = 64 * 1024


class Journals(Protocol):
    """Where units' journals come from."""

    def read(self, address: str, name: str, *, lines: int, follow: bool) -> AsyncIterator[bytes]:
        """Yield pieces of text from the machine at `address`, for ever with `follow`.

        The first piece is empty and comes as soon as the machine has agreed, be there anything to read or not.
        Raises `NotFound` when the machine has no journal of that name, `Unavailable` when it does not answer.
        """


class AgentJournals:
    """The journals served by agents at `https://ADDRESS:49154/journal/NAME`."""

    def __init__(self, context: ssl.SSLContext, *, port: int = AGENT_PORT) -> None:
        self._context = context
        self._port = port

    async def read(self, address: str, name: str, *, lines: int, follow: bool) -> AsyncIterator[bytes]:
        """See `Journals`."""
        target = f"/journal/{quote(name, safe='@')}?lines={lines}&follow={int(follow)}"
        async with _connected(address, self._port, self._context) as (reader, writer):
            exchange = _Exchange(reader, writer)
            await exchange.ask(target, address)
            if exchange.status != 200:
                raise await exchange.refusal(address, name)
            yield b""
            async for piece in exchange.body():
                yield piece


@asynccontextmanager
async def _connected(
    address: str, port: int, context: ssl.SSLContext
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(address, port, ssl=context)
    except (OSError, TimeoutError) as error:
        raise Unavailable(
            f"the agent at {address}:{port} does not answer: {_reason(error)} (is its host up? see: inaetics status)"
        ) from error
    try:
        yield reader, writer
    except (OSError, h11.RemoteProtocolError) as error:
        raise Unavailable(f"the agent at {address}:{port} broke off: {error}") from error
    finally:
        writer.transport.abort()


class _Exchange:
    """One request and its answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT)
        self.status = 0

    async def ask(self, target: str, host: str) -> None:
        headers = [("Host", host), ("Connection", "close")]
        self._send(h11.Request(method="GET", target=target, headers=headers))
        self._send(h11.EndOfMessage())
        await self._writer.drain()
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            while not self.status:
                event = await self._next()
                if isinstance(event, h11.Response):
                    self.status = event.status_code
                elif not isinstance(event, h11.InformationalResponse):
                    raise h11.RemoteProtocolError("it closed the connection without an answer")

    async def body(self) -> AsyncIterator[bytes]:
        while isinstance(event := await self._next(), h11.Data):
            yield bytes(event.data)

    async def refusal(self, address: str, name: str) -> InaeticsError:
        if self.status == 404:
            return NotFound(f"the machine at {address} has no journal of {name!r} yet")
        words = b"".join([piece async for piece in self.body()]).decode(errors="replace").strip()
        return Unavailable(f"the agent at {address} answered {self.status} for the journal of {name!r}: {words}")

    def _send(self, event: h11.Request | h11.EndOfMessage) -> None:
        self._writer.write(self._http.send(event) or b"")

    async def _next(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        while True:
            event = self._http.next_event()
            if event is not h11.NEED_DATA:
                return event
            self._http.receive_data(await self._reader.read(_CHUNK))


def _reason(error: OSError) -> str:
    return "no answer in time" if isinstance(error, TimeoutError) else str(error)
