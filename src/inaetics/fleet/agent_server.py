"""An agent's server, over mutual TLS: what only its host can do or show.

    GET  /journal/NAME?lines=N&follow=1   the unit's journal, for every certificate of the cluster
    POST /restart/NAME                    stop and start the unit here
    POST /exec/NAME                       with `Upgrade: inaetics-exec`: run a command in it (see `frames`)

The last two are only for those who may act: the API and the operator, by their certificates' common names.

By hand over asyncio streams: an agent on every host must stay small, and these are three routes. One request a
connection. Everything is bounded, and a client that stops reading holds up nobody but itself.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec
import structlog

from inaetics.errors import Conflict, Forbidden, InaeticsError, InvalidInput, NotFound, Unavailable
from inaetics.fleet.agent_exec import Conversation
from inaetics.fleet.unit_commands import UnitCommands
from inaetics.ports import AGENT_PORT
from inaetics.store.background import beside
from inaetics.supervisor.protocol import Supervisor
from inaetics.tls import server_context
from inaetics.units.names import parse_name

_log = structlog.get_logger()

EXEC_PROTOCOL = "inaetics-exec"
_REQUEST_WITHIN_S = 10.0
_MAX_HEAD_BYTES = 16 * 1024
_MAX_LINES = 100_000
_MAX_CLIENTS = 64
_MAX_COMMANDS = 32

_HELP = "served here: GET /journal/NAME?lines=N&follow=1, POST /restart/NAME, POST /exec/NAME"


class Restarted(msgspec.Struct, frozen=True):
    """`since` is when the unit last changed before this restart: what comes of it is younger."""

    since: float


def mutual_tls(*, ca: Path, cert: Path, key: Path) -> ssl.SSLContext:
    """A server's context that takes only clients with a certificate of `ca`."""
    return server_context(ca=ca, cert=cert, key=key, whose="the agent's")


def may_act(common_name: str | None) -> bool:
    """Whether a certificate's holder may change what runs: the API (of any control host) and the operator."""
    return common_name is not None and (common_name in ("api", "operator") or common_name.startswith("api-"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """`name` is a unit's; `common_name` the client's, None without TLS."""

    method: str
    action: str
    name: str
    options: Mapping[str, list[str]]
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Client:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def common_name(self) -> str | None:
        """Who the client is, by its certificate."""
        found: object = self.writer.get_extra_info("peercert")
        subject = found.get("subject", ()) if isinstance(found, dict) else ()
        return next((value for part in subject for key, value in part if key == "commonName"), None)


class AgentServer:
    """Serves the units of `supervisor`; `commands` None: nothing can be run in them."""

    def __init__(self, supervisor: Supervisor, commands: UnitCommands | None = None) -> None:
        self._supervisor = supervisor
        self._commands = commands
        self._clients = asyncio.Semaphore(_MAX_CLIENTS)
        self._running = 0
        self._routes: Mapping[tuple[str, str], Callable[[_Request, _Client], Awaitable[None]]] = {
            ("GET", "journal"): self._journal,
            ("POST", "restart"): self._restart,
            ("POST", "exec"): self._exec,
        }

    async def run(self, address: str, *, port: int = AGENT_PORT, context: ssl.SSLContext) -> None:
        """Serve until cancelled; raises Unavailable when the address is taken."""
        try:
            server = await asyncio.start_server(self._serve, address, port, ssl=context, limit=_MAX_HEAD_BYTES)
        except OSError as error:
            raise Unavailable(
                f"cannot serve the host's units on {address}:{port}: {error.strerror} (who has it: ss -ltnp)"
            ) from error
        async with server:
            await server.serve_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with self._clients:
                await self._answer(_Client(reader, writer))
        except (OSError, asyncio.IncompleteReadError, TimeoutError, InvalidInput) as error:
            _log.debug("client left", reason=str(error))
        finally:
            writer.close()
            with suppress(OSError, ssl.SSLError):  # the client was quicker
                await writer.wait_closed()

    async def _answer(self, client: _Client) -> None:
        try:
            request = await _read_request(client.reader)
            route = self._routes.get((request.method, request.action))
            if route is None:
                raise NotFound(f"nothing answers {request.method} /{request.action}; {_HELP}")
            if request.method != "GET" and not may_act(client.common_name):
                raise Forbidden(
                    f"{request.action} is not for the holder of the certificate {client.common_name!r}:"
                    " only the API and the operator may change what runs (use fleetctl)"
                )
            await route(request, client)
        except InaeticsError as error:
            await _refuse(client.writer, error)

    async def _journal(self, request: _Request, client: _Client) -> None:
        """Send lines as they come, until the journal ends or the client leaves."""
        lines = _number(request.options.get("lines", ["10"])[-1])
        follow = request.options.get("follow", ["0"])[-1] not in ("0", "", "false")
        async for _ in self._supervisor.journal(request.name, lines=0):
            pass  # raises NotFound while there is still time to say so
        writer = client.writer
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n"
        writer.write(head + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
        async with beside(_until_left(client.reader), name="journal's reader"):
            async for line in self._supervisor.journal(request.name, lines=lines, follow=follow):
                data = line.encode(errors="surrogateescape") + b"\n"
                writer.write(b"%x\r\n%b\r\n" % (len(data), data))
                await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    async def _restart(self, request: _Request, client: _Client) -> None:
        status = (await self._supervisor.states()).get(request.name)
        if status is None or status.system:
            raise NotFound(f"there is no unit '{request.name}' on this machine")
        await self._supervisor.restart(request.name)
        _log.info("unit restarted", unit=request.name, asked_by=client.common_name)
        body = msgspec.json.encode(Restarted(since=status.since))
        await _reply(client.writer, HTTPStatus.OK, body, "application/json")

    async def _exec(self, request: _Request, client: _Client) -> None:
        if self._commands is None:
            raise NotFound("commands cannot be run on this machine")
        if request.headers.get("upgrade", "") != EXEC_PROTOCOL:
            raise InvalidInput(f"exec needs the header 'Upgrade: {EXEC_PROTOCOL}'")
        if self._running >= _MAX_COMMANDS:
            raise Unavailable(f"{_MAX_COMMANDS} commands run on this machine already: try again when one has ended")
        client.writer.write(
            f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {EXEC_PROTOCOL}\r\n\r\n".encode()
        )
        _log.info("command in unit", unit=request.name, asked_by=client.common_name)
        self._running += 1
        try:
            await Conversation(client.reader, client.writer).serve(request.name, self._commands)
        finally:
            self._running -= 1


async def _until_left(reader: asyncio.StreamReader) -> None:
    await reader.read()
    raise ConnectionError("it closed the connection")


async def _read_request(reader: asyncio.StreamReader) -> _Request:
    try:
        async with asyncio.timeout(_REQUEST_WITHIN_S):
            head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as error:
        raise InvalidInput(f"the request's head is longer than {_MAX_HEAD_BYTES} bytes") from error
    first, *rest = head.decode("latin-1").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3:
        raise InvalidInput(f"this is no HTTP request; {_HELP}")
    try:
        target = urlsplit(parts[1])
    except ValueError as error:
        raise InvalidInput(f"this is no address of a resource: {error}; {_HELP}") from error
    action, _, name = target.path.removeprefix("/").partition("/")
    if not name:
        raise NotFound(f"nothing is served at {target.path}; {_HELP}")
    headers = (line.partition(":") for line in rest if line)
    return _Request(
        method=parts[0],
        action=action,
        name=str(parse_name(unquote(name))),
        options=parse_qs(target.query),
        headers={key.strip().lower(): value.strip() for key, _, value in headers},
    )


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) > _MAX_LINES:
        raise InvalidInput(f"lines={text} is no number of lines: 0 to {_MAX_LINES}")
    return int(text)


async def _refuse(writer: asyncio.StreamWriter, error: InaeticsError) -> None:
    match error:
        case NotFound():
            status = HTTPStatus.NOT_FOUND
        case InvalidInput():
            status = HTTPStatus.BAD_REQUEST
        case Conflict():
            status = HTTPStatus.CONFLICT
        case Forbidden():
            status = HTTPStatus.FORBIDDEN
        case _:
            status = HTTPStatus.SERVICE_UNAVAILABLE
    await _reply(writer, status, f"{error}\n".encode(), "text/plain; charset=utf-8")


async def _reply(writer: asyncio.StreamWriter, status: HTTPStatus, body: bytes, kind: str) -> None:
    head = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {kind}\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
    await writer.drain()
