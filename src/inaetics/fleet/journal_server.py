"""A host's journals for those who hold a certificate of the cluster: `GET /journal/NAME?lines=N&follow=1` over TLS.

By hand over asyncio streams: an agent on every host must stay small, and this is one route. One request a connection.
The answer is text, a line an entry, chunked; a client that stops reading holds up nobody but itself.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import structlog

from inaetics.errors import InaeticsError, InvalidInput, NotFound, Unavailable
from inaetics.store.background import beside
from inaetics.supervisor.protocol import Supervisor
from inaetics.units.names import parse_name

_log = structlog.get_logger()

PORT = 49154
_REQUEST_WITHIN_S = 10.0
_MAX_HEAD_BYTES = 16 * 1024
_MAX_LINES = 100_000
_MAX_CLIENTS = 64


def mutual_tls(*, ca: Path, cert: Path, key: Path) -> ssl.SSLContext:
    """A server's context that takes only clients with a certificate of `ca`."""
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(str(cert), str(key))
        context.load_verify_locations(str(ca))
    except (OSError, ssl.SSLError) as error:
        raise InvalidInput(f"cannot use the agent's certificate {cert} (CA {ca}): {error}") from error
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    name: str
    lines: int
    follow: bool


class JournalServer:
    """Serves the journals of `supervisor`."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._clients = asyncio.Semaphore(_MAX_CLIENTS)

    async def run(self, address: str, *, port: int = PORT, context: ssl.SSLContext | None = None) -> None:
        """Serve until cancelled; raises Unavailable when the address is taken."""
        try:
            server = await asyncio.start_server(self._serve, address, port, ssl=context, limit=_MAX_HEAD_BYTES)
        except OSError as error:
            raise Unavailable(
                f"cannot serve journals on {address}:{port}: {error.strerror} (who has it: ss -ltnp)"
            ) from error
        async with server:
            await server.serve_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with self._clients:
                await self._answer(reader, writer)
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            _log.debug("journal's reader left", reason=str(error))
        finally:
            writer.close()
            with suppress(OSError, ssl.SSLError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            wanted = await _read_request(reader)
            await self._stream(wanted, reader, writer)
        except NotFound as error:
            await _refuse(writer, HTTPStatus.NOT_FOUND, error)
        except InvalidInput as error:
            await _refuse(writer, HTTPStatus.BAD_REQUEST, error)
        except Unavailable as error:
            await _refuse(writer, HTTPStatus.SERVICE_UNAVAILABLE, error)

    async def _stream(self, wanted: _Wanted, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Send lines as they come, until the journal ends or the client leaves."""
        async for _ in self._supervisor.journal(wanted.name, lines=0):
            pass  # raises NotFound while there is still time to say so
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n"
        writer.write(head + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
        async with beside(_until_left(reader), name="journal's reader"):
            async for line in self._supervisor.journal(wanted.name, lines=wanted.lines, follow=wanted.follow):
                data = line.encode(errors="surrogateescape") + b"\n"
                writer.write(b"%x\r\n%b\r\n" % (len(data), data))
                await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()


async def _until_left(reader: asyncio.StreamReader) -> None:
    await reader.read()
    raise ConnectionError("it closed the connection")


async def _read_request(reader: asyncio.StreamReader) -> _Wanted:
    try:
        async with asyncio.timeout(_REQUEST_WITHIN_S):
            head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as error:
        raise InvalidInput(f"the request's head is longer than {_MAX_HEAD_BYTES} bytes") from error
    parts = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
    if len(parts) != 3 or parts[0] != "GET":
        raise InvalidInput("only GET /journal/NAME?lines=N&follow=1 is served here")
    target = urlsplit(parts[1])
    if not target.path.startswith("/journal/"):
        raise NotFound(f"nothing is served at {target.path}; journals are at /journal/NAME")
    name = unquote(target.path.removeprefix("/journal/"))
    options = parse_qs(target.query)
    return _Wanted(
        name=str(parse_name(name)),
        lines=_number(options.get("lines", ["10"])[-1]),
        follow=options.get("follow", ["0"])[-1] not in ("0", "", "false"),
    )


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) > _MAX_LINES:
        raise InvalidInput(f"lines={text} is no number of lines: 0 to {_MAX_LINES}")
    return int(text)


async def _refuse(writer: asyncio.StreamWriter, status: HTTPStatus, error: InaeticsError) -> None:
    body = f"{error}\n".encode()
    head = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: text/plain; charset=utf-8\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
    await writer.drain()
