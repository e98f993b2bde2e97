"""The control socket: decode, call the manager, encode. A client that stops reading waits for itself only."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path

import structlog

from inaetics.errors import InaeticsError, InvalidInput
from inaetics.supervisor.feeds import Feed, Growth
from inaetics.supervisor.journal import Journals
from inaetics.supervisor.manager import Manager
from inaetics.supervisor.specs import checked_name
from inaetics.supervisor.wire import MAX_REQUEST_BYTES, Reply, Request, decode_request, encode, reply_of
from inaetics.tasks import TaskGroup

_log = structlog.get_logger()


class Server:
    """Answers clients. `shut_down` is called when one asks for that; its connection ends with the daemon."""

    def __init__(self, manager: Manager, journals: Journals, feed: Feed, shut_down: Callable[[], None]) -> None:
        self._manager = manager
        self._journals = journals
        self._feed = feed
        self._growth = Growth()
        self._shut_down = shut_down

    async def serve(self, path: Path) -> None:
        """Listen at `path` until cancelled; the socket is its owner's only."""
        async with TaskGroup() as connections:

            def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                connections.create_task(self._converse(reader, writer), name="control connection")

            server = await asyncio.start_unix_server(accept, sock=_bind(path), limit=MAX_REQUEST_BYTES, backlog=1024)
            async with server:
                await server.serve_forever()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer requests one after the other; whatever a client does or sends, only its own connection ends."""
        try:
            while await self._answer(reader, writer):
                pass
        except ConnectionError:
            pass  # it went before its answer came
        except Exception:  # noqa: BLE001 - logged whole; a request may fail, the daemon may not
            _log.exception("a request failed")
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer a request; return whether another may follow on the connection."""
        try:
            line = await reader.readline()
        except ValueError:
            await _send(writer, reply_of(InvalidInput(f"the request is longer than {MAX_REQUEST_BYTES} bytes")))
            return False
        if not line:
            return False
        try:
            return await self._do(decode_request(line), reader, writer)
        except InaeticsError as error:
            await _send(writer, reply_of(error))
            return True

    async def _do(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        match request.op:
            case "watch":
                await _until_hang_up(reader, self._watch(writer))
            case "journal":
                await self._journal(request, reader, writer)
            case "states":
                statuses = [unit.status() for unit in self._manager.units.values()]
                await _send(writer, Reply(statuses=statuses, end=True))
                return True
            case "shutdown":
                await _send(writer, Reply(pid=os.getpid()))
                self._shut_down()
                await _hang_up(reader)  # the connection ends when the daemon does: that is the client's answer
            case _:
                self._change(request)
                await _send(writer, Reply(pid=os.getpid(), end=True))
                return True
        return False

    def _change(self, request: Request) -> None:
        match request.op:
            case "load":
                self._manager.load(request.name, request.text, stop_when_lost=request.stop_when_lost)
            case "arm":
                self._manager.deadline.arm(request.deadline)
            case "start":
                self._manager.start(request.name)
            case "stop":
                self._manager.stop(request.name)
            case "restart":
                self._manager.restart(request.name)
            case "reload":
                self._manager.reload(request.name)
            case "unload":
                self._manager.unload(request.name)
            case _:
                pass  # a ping asks for nothing but the answer

    async def _watch(self, writer: asyncio.StreamWriter) -> None:
        units = self._manager.units
        with self._feed.watching(list(units)) as watcher:
            await _send(writer, Reply())  # so that a client knows it watches, even where there are no units
            while True:
                names = await watcher.take()
                statuses = [units[name].status() for name in names if name in units]
                await _send(writer, Reply(statuses=statuses, gone=[name for name in names if name not in units]))

    async def _journal(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        checked_name(request.name)
        lines, offset = self._journals.tail(request.name, request.lines)
        await _send(writer, Reply(lines=lines, end=not request.follow))
        if request.follow:
            await _until_hang_up(reader, self._follow(request.name, offset, writer))

    async def _follow(self, name: str, offset: int, writer: asyncio.StreamWriter) -> None:
        with self._growth.watching(self._journals.path(name)) as written:
            while True:
                written.clear()
                lines, offset = self._journals.read(name, offset)
                if lines:
                    await _send(writer, Reply(lines=lines))
                else:
                    await written.wait()


def _bind(path: Path) -> socket.socket:
    """Return the bound control socket. It takes the place of one that a killed supervisor left."""
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        sock.bind(str(path))
    finally:
        os.umask(before)
    return sock


async def _send(writer: asyncio.StreamWriter, reply: Reply) -> None:
    writer.write(encode(reply))
    await writer.drain()


async def _hang_up(reader: asyncio.StreamReader) -> None:
    """Wait until the client is gone, whatever else it sends."""
    while await reader.read(65536):
        pass


async def _until_hang_up(reader: asyncio.StreamReader, stream: Coroutine[None, None, None]) -> None:
    """Send a stream that never ends by itself until the client is gone."""
    try:
        async with TaskGroup() as group:
            task = group.create_task(stream, name="control stream")
            await _hang_up(reader)
            task.cancel()
    except* ConnectionError:
        pass  # it went while something was on the way to it
