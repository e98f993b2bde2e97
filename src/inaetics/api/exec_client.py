"""Running a command in a unit, from here: our input goes there as it comes, its output comes here as it is written.

Beside `client`, which is synchronous: here both directions flow at once. Over the Unix socket or mutual TLS.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import h11
import msgspec

from inaetics.api.endpoint import ClientTls, address_of, client_context, socket_path
from inaetics.api.replies_read import error_of
from inaetics.errors import InaeticsError, Unavailable
from inaetics.fleet import frames
from inaetics.fleet.frames import Exited, Failed, Frame, Frames, Kind
from inaetics.store.background import beside

if TYPE_CHECKING:
    from inaetics.api.tunnel import Channel, Tunnel

    Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

FRAMES = "application/vnd.inaetics.frames"
_MAX_ERROR_BYTES = 64 * 1024


def run_in_unit(
    endpoints: Sequence[str],
    tls: ClientTls | None,
    name: str,
    words: Sequence[str],
    *,
    machine: str | None = None,
    stdin: int | None = None,
    output: Callable[[Kind, bytes], None],
    timeout_s: float = 10.0,
    tunnel: Tunnel | None = None,
) -> int:
    """Run `words` in the unit; returns the exit status.

    `stdin` is a descriptor whose content is sent, None: nothing is. `output` is called with each piece of STDOUT and
    STDERR. Raises what the API refuses as the error it meant, and `Unavailable` when no API answers.
    """
    first = frames.command(list(words), stdin=stdin is not None)
    query = f"?{urlencode({'machine': machine})}" if machine else ""
    path = f"/inaetics/v1/units/{quote(name, safe='@')}/exec{query}"
    if tunnel is None:
        return asyncio.run(_run(endpoints, tls, path, first, stdin, output, timeout_s))
    with _opened(tunnel, endpoints, timeout_s) as (endpoint, channel):
        return asyncio.run(_run([endpoint], tls, path, first, stdin, output, timeout_s, channel))


@contextmanager
def _opened(tunnel: Tunnel, endpoints: Sequence[str], timeout_s: float) -> Iterator[tuple[str, Channel]]:
    """A way to the first endpoint that is reached; made before there is a loop, so that an interrupt ends it soon."""
    failures: list[str] = []
    for endpoint in endpoints:
        try:
            channel = tunnel.open(endpoint, timeout_s=timeout_s)
        except OSError as error:
            failures.append(f"{endpoint}: {error.strerror or error}")
            continue
        with closing(channel):
            yield endpoint, channel
        return
    raise Unavailable(f"no fleet API answers through {tunnel.host.name}: {'; '.join(dict.fromkeys(failures))}")


async def _run(
    endpoints: Sequence[str],
    tls: ClientTls | None,
    path: str,
    first: bytes,
    stdin: int | None,
    output: Callable[[Kind, bytes], None],
    timeout_s: float,
    channel: Channel | None = None,
) -> int:
    async with _connected(endpoints, tls, timeout_s, channel) as streams:
        exchange = _Exchange(*streams)
        await exchange.begin(path, first, timeout_s)
        if stdin is None:
            exchange.end()
            return await _until_exit(exchange, output)
        async with beside(_send_input(exchange, stdin), name="exec: stdin"):
            return await _until_exit(exchange, output)


async def _until_exit(exchange: _Exchange, output: Callable[[Kind, bytes], None]) -> int:
    async for frame in exchange.received():
        match frame.kind:
            case Kind.STDOUT | Kind.STDERR:
                output(frame.kind, frame.payload)
            case Kind.EXIT:
                return msgspec.json.decode(frame.payload, type=Exited).status
            case Kind.FAILED:
                raise InaeticsError(msgspec.json.decode(frame.payload, type=Failed).message)
            case _:
                raise Unavailable(f"the machine answered with a frame {frame.kind.name}, which this client cannot read")
    raise Unavailable("the connection ended before the command did: whether it ran to its end is not known")


@asynccontextmanager
async def _connected(
    endpoints: Sequence[str], tls: ClientTls | None, timeout_s: float, channel: Channel | None
) -> AsyncIterator[Streams]:
    failures: list[str] = []
    for endpoint in endpoints:
        try:
            async with asyncio.timeout(timeout_s if channel is None else channel.patience_s(timeout_s)):
                streams = await _connect(endpoint, tls, channel)
        except (OSError, TimeoutError) as error:
            if channel is not None:
                channel.check(error)
            failures.append(f"{endpoint}: {str(error) or 'no answer in time'}")
            continue
        try:
            yield streams
        except (OSError, h11.RemoteProtocolError) as error:
            raise Unavailable(f"the fleet API at {endpoint} broke off: {str(error) or 'no answer in time'}") from error
        finally:
            streams[1].transport.abort()
        return
    raise Unavailable(f"no fleet API answers: {'; '.join(failures)} (is the cluster up? see: inaetics status)")


async def _connect(endpoint: str, tls: ClientTls | None, channel: Channel | None) -> Streams:
    if channel is not None:
        context = client_context(endpoint, tls) if endpoint.startswith("https:") else None
        host = address_of(endpoint)[0] if context is not None else None
        return await asyncio.open_connection(sock=channel.socket, ssl=context, server_hostname=host)
    path = socket_path(endpoint)
    if path is not None:
        return await asyncio.open_unix_connection(path)
    host, port = address_of(endpoint)
    context = client_context(endpoint, tls) if endpoint.startswith("https:") else None
    return await asyncio.open_connection(host, port, ssl=context)


class _Exchange:
    """One request whose body and answer flow at once."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT)

    async def begin(self, path: str, first: bytes, timeout_s: float) -> None:
        """Send the request's head and first piece, and wait for the answer's; raises the error it means."""
        headers = [("Host", "fleet"), ("Content-Type", FRAMES), ("Transfer-Encoding", "chunked")]
        self._send(h11.Request(method="POST", target=path, headers=headers))
        self.give(first)
        async with asyncio.timeout(timeout_s):
            event = await self._next()
            if not isinstance(event, h11.Response):
                raise h11.RemoteProtocolError("it closed the connection without an answer")
            if event.status_code != 200:
                body = bytearray()
                while isinstance(piece := await self._next(), h11.Data) and len(body) < _MAX_ERROR_BYTES:
                    body += piece.data
                raise error_of(event.status_code, event.reason.decode("latin-1"), bytes(body))

    def give(self, data: bytes) -> None:
        self._send(h11.Data(data=data))

    async def drained(self) -> None:
        await self._writer.drain()

    def end(self) -> None:
        """Say that nothing more is sent."""
        self._send(h11.EndOfMessage())

    async def received(self) -> AsyncIterator[Frame]:
        cut = Frames()
        while isinstance(event := await self._next(), h11.Data):
            for frame in cut.feed(bytes(event.data)):
                yield frame

    def _send(self, event: h11.Request | h11.Data | h11.EndOfMessage) -> None:
        self._writer.write(self._http.send(event) or b"")

    async def _next(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        while True:
            event = self._http.next_event()
            if event is not h11.NEED_DATA and not isinstance(event, h11.InformationalResponse):
                return event
            if event is h11.NEED_DATA:
                self._http.receive_data(await self._reader.read(frames.CHUNK_BYTES))


async def _send_input(exchange: _Exchange, descriptor: int) -> None:
    """Send what can be read from `descriptor`, then its end."""
    pieces: asyncio.Queue[bytes] = asyncio.Queue(maxsize=1)
    loop = asyncio.get_running_loop()

    def read() -> None:
        """In a thread of its own: a terminal or a file cannot be waited for in the loop. Ends with the process."""
        data = b"-"
        while data:
            try:
                data = os.read(descriptor, frames.CHUNK_BYTES)
                asyncio.run_coroutine_threadsafe(pieces.put(data), loop).result()
            except (OSError, RuntimeError):  # the input is gone, or the loop, with the command
                return

    threading.Thread(target=read, name="exec: input", daemon=True).start()
    data = b"-"
    while data:
        data = await pieces.get()
        exchange.give(frames.encode(Kind.STDIN, data))
        await exchange.drained()
    exchange.end()
