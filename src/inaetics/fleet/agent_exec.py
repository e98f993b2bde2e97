"""Runs one command for one connection: frames in, frames out.

Promises: the command runs in a session of its own, and nothing of it outlives the connection, nor its own end; what
the client does not read is not read from the command either, so nothing piles up in memory.
"""

from __future__ import annotations

import asyncio

import msgspec

from inaetics.errors import InaeticsError, InvalidInput
from inaetics.fleet.child import Child, running
from inaetics.fleet.frames import CHUNK_BYTES, Command, Exited, Failed, Frame, Frames, Kind, encode, read_command
from inaetics.fleet.unit_commands import Launch, UnitCommands
from inaetics.store.background import beside
from inaetics.tasks import TaskGroup

COMMAND_WITHIN_S = 10.0
LEFTOVERS_S = 0.5
"""How long pipes may stay open after the command's end: what it left in the background is not waited for."""


class Conversation:
    """One client's connection, after the switch to frames."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._frames = Frames()
        self._waiting: list[Frame] = []
        self._sending = asyncio.Lock()

    async def next(self) -> Frame:
        """The next frame. Raises `ConnectionError` when the client leaves, `InvalidInput` for what is no frame."""
        while not self._waiting:
            data = await self._reader.read(CHUNK_BYTES)
            if not data:
                raise ConnectionError("the client closed the connection")
            self._waiting.extend(self._frames.feed(data))
        return self._waiting.pop(0)

    async def send(self, kind: Kind, payload: bytes) -> None:
        """Send one frame; waits while the client does not read."""
        async with self._sending:
            self._writer.write(encode(kind, payload))
            await self._writer.drain()

    async def serve(self, name: str, commands: UnitCommands) -> None:
        """Run the client's command in the unit `name`."""
        try:
            async with asyncio.timeout(COMMAND_WITHIN_S):
                asked = read_command(await self.next())
                launch = await commands.launch(name, asked.words, stdin=asked.stdin)
            status = await self._run(launch, asked)
        except TimeoutError:
            await self._failed(f"no command came, or it could not be prepared, within {COMMAND_WITHIN_S:g} s")
        except (InaeticsError, OSError) as error:
            if isinstance(error, ConnectionError):
                raise
            await self._failed(str(error))
        else:
            await self.send(Kind.EXIT, msgspec.json.encode(Exited(status)))

    async def _failed(self, why: str) -> None:
        await self.send(Kind.FAILED, msgspec.json.encode(Failed(why)))

    async def _run(self, launch: Launch, asked: Command) -> int:
        async with running(launch, stdin=asked.stdin) as child, beside(self._feed(child), name="exec: stdin"):
            return await self._until_ended(child)

    async def _until_ended(self, child: Child) -> int:
        streams = ((Kind.STDOUT, child.stdout), (Kind.STDERR, child.stderr))
        async with TaskGroup() as group:
            pumps = [group.create_task(self._pump(kind, pipe), name=f"exec: {kind.name}") for kind, pipe in streams]
            status = await child.ended()
            await asyncio.wait(pumps, timeout=LEFTOVERS_S)
            for pump in pumps:
                pump.cancel()
        return status if status >= 0 else 128 - status

    async def _pump(self, kind: Kind, pipe: asyncio.StreamReader) -> None:
        while data := await pipe.read(CHUNK_BYTES):
            await self.send(kind, data)

    async def _feed(self, child: Child) -> None:
        """Hand on what the client types; that it leaves ends the command."""
        while True:
            frame = await self.next()
            if frame.kind is not Kind.STDIN:
                raise InvalidInput(f"a frame {frame.kind.name} in the middle of a command's input")
            await child.give(frame.payload)
