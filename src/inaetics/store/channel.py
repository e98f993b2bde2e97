"""Calls to one member: a connection, made when it is first needed and again when it is gone, and etcd's messages.

Promises: those who call at the same time share one attempt to connect; who calls right after one that failed fails at
once, with its reason.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from typing import Any

from inaetics.store.endpoints import SERVER_NAME
from inaetics.store.http2 import Connection
from inaetics.store.rpc import RpcError, Status
from inaetics.store.schema import Method
from inaetics.store.stream import Stream

_CONNECT_S = 2.0
"""How long one attempt to connect may take, TLS included."""

_AGAIN_S = 0.1
"""Pause after one that failed."""


class Channel:
    """To `host` (`address:port`), with TLS when there is a `context`. `close` it."""

    def __init__(self, host: str, context: ssl.SSLContext | None) -> None:
        self.host = host
        self._context = context
        self._connecting = asyncio.Lock()
        self._connection: Connection | None = None
        self._before: list[Connection] = []
        self._not_before = 0.0
        self._why = ""
        self._closed = False

    async def call(self, method: Method, request: Any, *, timeout_s: float) -> Any:
        """Ask once; returns the answer. Raises RpcError."""
        stream: Stream | None = None
        try:
            async with asyncio.timeout(timeout_s):
                connection = await self._connected()
                stream = await connection.open(method.path, request.SerializeToString(), last=True)
                return method.answer.FromString(await stream.receive_all())
        except TimeoutError:
            raise RpcError(Status.DEADLINE_EXCEEDED, "no answer in time", sent=stream is not None) from None
        finally:
            if stream is not None:
                stream.cancel()

    async def open(self, method: Method, request: Any) -> Call:
        """Begin a call with a first request; there may be more."""
        connection = await self._connected()
        return Call(await connection.open(method.path, request.SerializeToString(), last=False), method)

    async def close(self, *, grace_s: float = 0.0) -> None:
        """Take no new calls, and end those under way after `grace_s`."""
        self._closed = True
        connections = self._all()
        try:
            async with asyncio.timeout(grace_s):
                for connection in connections:
                    await connection.idle()
        except TimeoutError:
            pass  # what is still under way ends here
        for connection in connections:
            await connection.close("the channel was closed")

    def _all(self) -> list[Connection]:
        return [*self._before, *([self._connection] if self._connection is not None else [])]

    async def _connected(self) -> Connection:
        if self._connection is not None and self._connection.usable:
            return self._connection
        async with self._connecting:
            if self._connection is not None and self._connection.usable:
                return self._connection
            if self._closed:
                raise RpcError(Status.UNAVAILABLE, "the channel was closed", sent=False)
            if asyncio.get_running_loop().time() < self._not_before:
                raise RpcError(Status.UNAVAILABLE, self._why, sent=False)
            self._before = [each for each in self._all() if not each.gone]
            self._connection = await self._connect()
            return self._connection

    async def _connect(self) -> Connection:
        try:
            async with asyncio.timeout(_CONNECT_S):
                return await self._greeted()
        except (OSError, TimeoutError, RpcError) as error:  # of TLS, too
            self._why = _words(error)
            self._not_before = asyncio.get_running_loop().time() + _AGAIN_S
            raise RpcError(Status.UNAVAILABLE, self._why, sent=False) from error

    async def _greeted(self) -> Connection:
        address, _, port = self.host.rpartition(":")
        scheme, name = ("https", SERVER_NAME) if self._context else ("http", None)
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(scheme, self.host), address, int(port), ssl=self._context, server_hostname=name
        )
        try:
            await connection.greeted()
        except BaseException:
            connection.end("nobody wanted to wait for the server's first words")
            raise
        return connection


class Call:
    """A call that goes on: requests and answers in any order."""

    def __init__(self, stream: Stream, method: Method) -> None:
        self._stream = stream
        self._method = method

    @property
    def ended(self) -> bool:
        return self._stream.ended

    def write(self, request: Any) -> None:
        """Send a request; of a call that has ended `read` tells."""
        self._stream.send(request.SerializeToString())

    async def read(self) -> Any | None:
        """Return the next answer; None when the server has ended the call well. Raises RpcError."""
        message = await self._stream.receive()
        return None if message is None else self._method.answer.FromString(message)

    def cancel(self) -> None:
        self._stream.cancel()


def _words(error: Exception) -> str:
    match error:
        case ssl.SSLError():
            return f"TLS failed: {getattr(error, 'verify_message', '') or error.reason or error}"
        case OSError(errno=int(number)):
            return os.strerror(number)
        case RpcError():
            return error.details
        case _:
            return str(error) or "no answer in time"
