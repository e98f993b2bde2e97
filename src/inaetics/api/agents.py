"""Asks an agent for what only its host can show or do: journals, restarts, commands in units. Over mutual TLS.

The agent's certificate carries its address, so no name is looked up.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol
from urllib.parse import quote

import h11
import msgspec

from inaetics.api.exchange import Exchange
from inaetics.errors import Conflict, InaeticsError, NotFound, Unavailable
from inaetics.fleet.agent_server import EXEC_PROTOCOL, Restarted
from inaetics.ports import AGENT_PORT

CONNECT_TIMEOUT_S = 3.0

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Agents(Protocol):
    """The agents' servers. Each method raises `Unavailable` when the machine does not answer."""

    def read(self, address: str, name: str, *, lines: int, follow: bool) -> AsyncIterator[bytes]:
        """Yield pieces of text from the machine at `address`, for ever with `follow`.

        The first piece is empty and comes as soon as the machine has agreed, be there anything to read or not.
        Raises `NotFound` when the machine has no journal of that name.
        """

    async def restart(self, address: str, name: str) -> float:
        """Stop and start the unit on the machine at `address`; returns when it had last changed before.

        What comes of it is in the unit's state, with a younger `since`. Raises `NotFound`.
        """

    def open_exec(self, address: str, name: str) -> AbstractAsyncContextManager[Streams]:
        """A connection over which a command is run in the unit, in frames (`inaetics.fleet.frames`)."""


class RemoteAgents:
    """The agents at `https://ADDRESS:49154`, told who we are by `context`."""

    def __init__(self, context: ssl.SSLContext, *, port: int = AGENT_PORT) -> None:
        self._context = context
        self._port = port

    async def read(self, address: str, name: str, *, lines: int, follow: bool) -> AsyncIterator[bytes]:
        """See `Agents`."""
        target = f"/journal/{quote(name, safe='@')}?lines={lines}&follow={int(follow)}"
        async with self._connected(address) as streams:
            exchange = Exchange(*streams)
            await exchange.ask("GET", target, address, within_s=CONNECT_TIMEOUT_S)
            if exchange.status == 404:
                raise NotFound(f"the machine at {address} has no journal of {name!r} yet")
            if exchange.status != 200:
                raise await _refusal(exchange, address, f"the journal of {name!r}")
            yield b""
            async for piece in exchange.body():
                yield piece

    async def restart(self, address: str, name: str) -> float:
        """See `Agents`."""
        async with self._connected(address) as streams:
            exchange = Exchange(*streams)
            target = f"/restart/{quote(name, safe='@')}"
            await exchange.ask("POST", target, address, within_s=CONNECT_TIMEOUT_S)
            if exchange.status != 200:
                raise await _refusal(exchange, address, f"a restart of {name!r}")
            body = b"".join([piece async for piece in exchange.body()])
        try:
            return msgspec.json.decode(body, type=Restarted).since
        except msgspec.DecodeError as error:
            raise Unavailable(f"the agent at {address} answered what cannot be read: {error}") from error

    @asynccontextmanager
    async def open_exec(self, address: str, name: str) -> AsyncIterator[Streams]:
        """See `Agents`."""
        async with self._connected(address) as (reader, writer):
            exchange = Exchange(reader, writer)
            target = f"/exec/{quote(name, safe='@')}"
            await exchange.ask("POST", target, address, within_s=CONNECT_TIMEOUT_S, upgrade=EXEC_PROTOCOL)
            if exchange.status != 101:
                raise await _refusal(exchange, address, f"a command in {name!r}")
            yield reader, writer

    def _connected(self, address: str) -> AbstractAsyncContextManager[Streams]:
        return _connected(address, self._port, self._context)


@asynccontextmanager
async def _connected(address: str, port: int, context: ssl.SSLContext) -> AsyncIterator[Streams]:
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


async def _refusal(exchange: Exchange, address: str, what: str) -> InaeticsError:
    """The error that the agent's answer means."""
    words = b"".join([piece async for piece in exchange.body()]).decode(errors="replace").strip()
    kind = {404: NotFound, 409: Conflict}.get(exchange.status, Unavailable)
    return kind(f"the agent at {address} refused {what} ({exchange.status}): {words}")


def _reason(error: OSError) -> str:
    return "no answer in time" if isinstance(error, TimeoutError) else str(error)
