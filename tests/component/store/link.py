"""A link to a member that can be cut, that can fall silent, and that can lose the answers of what it carried."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum, auto
from urllib.parse import urlsplit


class _State(Enum):
    OPEN = auto()
    CUT = auto()
    SILENT = auto()
    DEAF = auto()


class Link:
    """Forwards TCP connections to one endpoint while it is open. Use `linked`."""

    def __init__(self, endpoint: str) -> None:
        target = urlsplit(endpoint)
        self._target = (target.hostname, target.port)
        self._scheme = target.scheme
        self._state = _State.OPEN
        self._writers: set[asyncio.StreamWriter] = set()
        self._port = 0
        self.connections = 0
        """How many there have been."""
        self.delay_s = 0.0
        """How long answers are under way."""

    @property
    def endpoint(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._port}"

    def cut(self) -> None:
        """Reset all connections, and every new one."""
        self._state = _State.CUT
        for writer in self._writers:
            writer.transport.abort()

    def silence(self) -> None:
        """Keep the connections and carry nothing, in either direction, as when a member hangs."""
        self._state = _State.SILENT

    def lose_answers(self) -> None:
        """Carry what is asked, and nothing back."""
        self._state = _State.DEAF

    def heal(self) -> None:
        """Carry new connections; those that carried nothing meanwhile are reset."""
        self.cut()
        self._state = _State.OPEN

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self._state is _State.CUT:
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection(*self._target)
        self._writers |= {writer, back}
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._carry(reader, back, back_again=False))
                group.create_task(self._carry(there, writer, back_again=True))
        finally:
            for end in (writer, back):
                self._writers.discard(end)
                end.transport.abort()

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, back_again: bool) -> None:
        try:
            while data := await source.read(65536):
                if back_again:
                    await asyncio.sleep(self.delay_s)
                if self._state is _State.OPEN or (self._state is _State.DEAF and not back_again):
                    sink.write(data)
                    await sink.drain()
        except ConnectionError:
            pass  # cut, or ended by either side
        sink.transport.abort()

    async def ended(self) -> None:
        """Wait until all connections are gone."""
        while self._writers:  # noqa: ASYNC110 - polled for some milliseconds at the end of a test
            await asyncio.sleep(0.01)

    async def listen(self) -> asyncio.Server:
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self._port = server.sockets[0].getsockname()[1]
        return server


@asynccontextmanager
async def linked(endpoint: str) -> AsyncIterator[Link]:
    """Run a link to `endpoint`; `link.endpoint` is its near end."""
    link = Link(endpoint)
    server = await link.listen()
    try:
        yield link
    finally:
        server.close()
        link.cut()
        await link.ended()
        await server.wait_closed()
