"""A server of HTTP/2 that is played by hand, frame by frame, at the other end of one connection."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from struct import pack, unpack_from

import pytest

from inaetics.override import override
from inaetics.store import hpack
from inaetics.store.http2 import Connection, frame
from inaetics.store.rpc import RpcError
from inaetics.store.stream import Stream

DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS, PADDED, ACK = 1, 4, 8, 1
OK = b"\x88"
WELL = hpack.encode({"grpc-status": "0"})


class Wire(asyncio.Transport):
    """What the connection writes to; tells the connection of its end as a real one does."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection
        self.sent = bytearray()
        self.aborted = False

    @override
    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.aborted
        self.sent += data

    @override
    def abort(self) -> None:
        if not self.aborted:
            self.aborted = True
            asyncio.get_running_loop().call_soon(self._connection.connection_lost, None)


class Server:
    """The other end, played by the test."""

    def __init__(self) -> None:
        self.connection = Connection("http", "store")
        self.wire = Wire(self.connection)
        self.connection.connection_made(self.wire)

    def say(self, *frames: bytes) -> None:
        self.connection.data_received(b"".join(frames))

    def greet(self, **settings: int) -> None:
        numbers = {"most_streams": 3, "window": 4}
        self.say(frame(SETTINGS, 0, 0, b"".join(pack(">HI", numbers[name], n) for name, n in settings.items())))

    def heard(self, kind: int | None = None) -> list[tuple[int, int, int, bytes]]:
        """Frames since the last time: kind, flags, stream, payload; of one kind, all others are dropped."""
        data = bytes(self.wire.sent).removeprefix(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self.wire.sent.clear()
        found = []
        while data:
            head, flags, stream = unpack_from(">IBI", data)
            size = head >> 8
            found.append((head & 0xFF, flags, stream, data[9 : 9 + size]))
            data = data[9 + size :]
        return [each for each in found if kind in (None, each[0])]

    async def ask(self, message: bytes = b"?", *, last: bool = True) -> Stream:
        return await self.connection.open("/service/Method", message, last=last)


def message(text: bytes) -> bytes:
    return pack(">BI", 0, len(text)) + text


def answer(stream: int, text: bytes) -> bytes:
    """A whole answer: headers, one message, and that it ended well."""
    return b"".join(
        [
            frame(HEADERS, END_HEADERS, stream, OK),
            frame(DATA, 0, stream, message(text)),
            frame(HEADERS, END_HEADERS | END_STREAM, stream, WELL),
        ]
    )


def play(scenario: Callable[[Server], Awaitable[None]]) -> None:
    async def main() -> None:
        server = Server()
        try:
            async with asyncio.timeout(20):
                await scenario(server)
        finally:
            await server.connection.close("the test is over")

    asyncio.run(main())


async def error_of(answered: Awaitable[object]) -> RpcError:
    with pytest.raises(RpcError) as caught:
        await answered
    return caught.value
