"""The client of the embedded supervisor. Calls that overlap share a connection; each stream has one of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from inaetics.errors import Unavailable
from inaetics.supervisor.line import SharedLine
from inaetics.supervisor.protocol import UnitGone, UnitStatus
from inaetics.supervisor.wire import Reply, Request, decode_reply, encode

_MAX_LINE_BYTES = 256 * 1024 * 1024


class EmbeddedSupervisor:
    """Speaks to the daemon behind `socket`. Holds nothing open between calls; implements `Supervisor`."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._shared = SharedLine(socket)

    async def load(self, name: str, text: str, *, stop_when_lost: bool = False) -> None:
        """See `Supervisor.load`. Raises `Conflict` for the name of a system unit."""
        await self._call(Request(op="load", name=name, text=text, stop_when_lost=stop_when_lost))

    async def arm(self, within_s: float, *, since: float | None = None) -> None:
        """See `Supervisor.arm`. Without `since` it counts from this call, however long it takes to arrive."""
        begin = time.clock_gettime(time.CLOCK_BOOTTIME) if since is None else since
        await self._call(Request(op="arm", deadline=begin + within_s))

    async def start(self, name: str) -> None:
        """See `Supervisor.start`."""
        await self._call(Request(op="start", name=name))

    async def stop(self, name: str) -> None:
        """See `Supervisor.stop`."""
        await self._call(Request(op="stop", name=name))

    async def restart(self, name: str) -> None:
        """See `Supervisor.restart`."""
        await self._call(Request(op="restart", name=name))

    async def reload(self, name: str) -> None:
        """Run ExecReload of a running unit. Raises `NotFound`, `Conflict`."""
        await self._call(Request(op="reload", name=name))

    async def unload(self, name: str) -> None:
        """See `Supervisor.unload`. Raises `Conflict` for a system unit."""
        await self._call(Request(op="unload", name=name))

    async def states(self) -> dict[str, UnitStatus]:
        """See `Supervisor.states`."""
        reply = await self._call(Request(op="states"))
        return {status.name: status for status in reply.statuses}

    async def ping(self) -> int:
        """Return the daemon's pid."""
        return (await self._call(Request(op="ping"))).pid

    async def shutdown(self) -> None:
        """Have every unit stopped and the daemon end; return once it has."""
        async with self._connection(Request(op="shutdown")) as reader:
            await self._reply(reader)
            while await reader.read(65536):
                pass

    async def watch(self) -> AsyncIterator[UnitStatus | UnitGone]:
        """See `Supervisor.watch`. Raises `Unavailable` when the daemon goes away."""
        async with self._connection(Request(op="watch")) as reader:
            while True:
                reply = await self._reply(reader)
                for status in reply.statuses:
                    yield status
                for name in reply.gone:
                    yield UnitGone(name=name)

    async def journal(self, name: str, *, lines: int = 10, follow: bool = False) -> AsyncIterator[str]:
        """See `Supervisor.journal`."""
        async with self._connection(Request(op="journal", name=name, lines=lines, follow=follow)) as reader:
            end = False
            while not end:
                reply = await self._reply(reader)
                for line in reply.lines:
                    yield line
                end = reply.end

    async def _call(self, request: Request) -> Reply:
        try:
            line = await self._shared.ask(encode(request))
        except ConnectionResetError as error:
            raise Unavailable(f"the supervisor behind {self._socket} went away: {error}") from error
        except OSError as error:
            raise self._silent(error) from error
        return decode_reply(line)

    def _silent(self, error: OSError) -> Unavailable:
        return Unavailable(f"the supervisor behind {self._socket} does not answer: {error.strerror}")

    @asynccontextmanager
    async def _connection(self, request: Request) -> AsyncIterator[asyncio.StreamReader]:
        try:
            reader, writer = await asyncio.open_unix_connection(self._socket, limit=_MAX_LINE_BYTES)
        except OSError as error:
            raise self._silent(error) from error
        try:
            writer.write(encode(request))
            yield reader
        except ConnectionError as error:
            raise Unavailable(f"the supervisor behind {self._socket} went away: {error}") from error
        finally:
            writer.close()

    async def _reply(self, reader: asyncio.StreamReader) -> Reply:
        line = await reader.readline()
        if not line.endswith(b"\n"):
            raise Unavailable(f"the supervisor behind {self._socket} went away before it answered")
        return decode_reply(line)
