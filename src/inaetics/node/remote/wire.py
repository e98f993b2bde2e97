"""The wire format of remote calls: frames on a TCP connection, each a length (4 bytes, big endian) and a msgpack array.

The first element says what the frame is; ``docs/reference/remote-services.md`` is the whole contract::

    [0, protocol, framework, window]                            Hello: both sides, once, first
    [1, id, endpoint, method, args, kwargs, within_ms]          Call: caller to provider; answered exactly once
    [2, id, value]                                              Answer
    [3, id, reason, kind, message]                              Failure
    [4, endpoint, method, args, kwargs]                         OneWay: a call that nobody answers
    [5, id]                                                     Cancel: the caller has given this call up
    [6, id, endpoint]                                           Ping: answered [2, id, whether it is exported]

Arrays may grow at their end in later versions: what is unknown there is ignored, and the last fields have defaults.
Values are msgpack's own, and what msgspec encodes as such (structs, dataclasses, datetimes, enums, UUIDs).
"""

from __future__ import annotations

import struct
from typing import Any

import msgspec

from inaetics.errors import InvalidInput

PROTOCOL = 2
MAX_FRAME = 64 * 1024 * 1024
"""Bytes in one frame; more is refused on both sides."""
WINDOW = 256
"""Calls a provider takes at once on one connection, unless its Hello says otherwise."""

_LENGTH = struct.Struct(">I")
_CHUNK = 64 * 1024
"""Read at once; more than 128 KB would be mapped and unmapped by the allocator for every small frame."""
_LARGEST_CHUNK = 1024 * 1024

RAISED = 0
"""Why a call failed: the service raised; `kind` is the name of its error's class."""
NO_ENDPOINT = 1
"""Nothing of that id is exported here, now. Not carried out."""
NO_METHOD = 2
"""The service has no such method for others. Not carried out."""
BUSY = 3
"""More calls at once than the window allows. Not carried out."""
STOPPING = 4
"""The provider takes no more calls. Not carried out."""
CANCELLED = 5
"""The caller gave it up, or its time was over, before it began. Not carried out."""
UNSENDABLE = 6
"""Carried out, but what it returned cannot be sent."""

NOT_CARRIED_OUT = frozenset((NO_ENDPOINT, NO_METHOD, BUSY, STOPPING, CANCELLED))


class Hello(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """`framework` is the sender's id. `window`: how many calls it takes at once on this connection."""

    protocol: int
    framework: str
    window: int = WINDOW


class Call(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """`id` is any that is not waited for on this connection. `within_ms` counts from its arrival; 0: for ever."""

    id: int
    endpoint: str
    method: str
    args: list[Any]
    kwargs: dict[str, Any]
    within_ms: int = 0


class Answer(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """What the call `id` returned."""

    id: int
    value: Any


class Failure(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """`reason` is one of the numbers above; one that is not known is taken as `RAISED`."""

    id: int
    reason: int
    kind: str
    message: str


class OneWay(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """A call that nobody waits for, and nobody answers."""

    endpoint: str
    method: str
    args: list[Any]
    kwargs: dict[str, Any]


class Cancel(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """Nobody waits for the call `id` any more."""

    id: int


class Ping(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """`endpoint` may be empty: only whether somebody is there."""

    id: int
    endpoint: str = ""


Message = Hello | Call | Answer | Failure | OneWay | Cancel | Ping
Reply = Answer | Failure

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def encode(message: Message) -> bytes:
    """A whole frame. Raises `InvalidInput` for values that msgpack has no form for, and for frames over `MAX_FRAME`."""
    try:
        payload = _encoder.encode(message)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidInput(f"cannot send {type(message).__name__.lower()}: {error}") from error
    size = len(payload)
    if size > MAX_FRAME:
        raise InvalidInput(f"cannot send {size} bytes in one call: at most {MAX_FRAME} (send less at a time)")
    return _LENGTH.pack(size) + payload


def decode(payload: bytes | bytearray | memoryview) -> Message:
    """What a frame says. Raises `InvalidInput` when it is none of ours."""
    try:
        return _decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"cannot understand a frame of {len(payload)} bytes: {error}") from error


class Frames:
    """Cuts a stream of bytes into messages. After an `InvalidInput` the stream cannot be understood any more."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self.chunk = _CHUNK
        """How much to receive at once: more while a large frame is arriving."""
        self.held = 0
        """Bytes that wait for the rest of their frame."""
        self.announced = 0
        """Bytes of the frame that is arriving, with its length; 0 when not even that is known."""

    def only(self, data: bytes) -> Message | None:
        """The message that `data` is, when it is one and no more and nothing was held. Raises `InvalidInput`."""
        size = len(data) - _LENGTH.size
        if self._rest or size < 0 or _LENGTH.unpack_from(data)[0] != size:
            return None
        return decode(data[_LENGTH.size :])

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are whole now. Raises `InvalidInput`."""
        self._rest += data
        found = self._take() if len(self._rest) >= self.announced else []
        self.held = len(self._rest)
        self.chunk = min(max(self.announced - self.held, _CHUNK), _LARGEST_CHUNK)
        return found

    def _take(self) -> list[Message]:
        found: list[Message] = []
        begin, self.announced = 0, 0
        with memoryview(self._rest) as view:
            while len(view) - begin >= _LENGTH.size:
                end = begin + _LENGTH.size + _frame_size(view, begin)
                if end > len(view):
                    self.announced = end - begin
                    break
                with view[begin + _LENGTH.size : end] as payload:
                    found.append(decode(payload))
                begin = end
        del self._rest[:begin]
        return found


def _frame_size(view: memoryview, begin: int) -> int:
    size = int(_LENGTH.unpack_from(view, begin)[0])
    if size > MAX_FRAME:
        raise InvalidInput(f"cannot receive a frame of {size} bytes: at most {MAX_FRAME}")
    return size
