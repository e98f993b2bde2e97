"""What `exec` sends both ways over one connection: frames of a kind, a length and that many bytes. Pure.

A client sends one COMMAND, then STDIN; an empty STDIN is its end. It gets STDOUT and STDERR as they come, then one
EXIT; or FAILED with words when the command could not be run. Kinds are letters, so that a trace can be read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import msgspec

from inaetics.errors import InvalidInput

MAX_PAYLOAD_BYTES = 128 * 1024
"""A longer frame is refused: what is not read yet waits in memory. A command line fits, a stream is cut."""

CHUNK_BYTES = 32 * 1024
"""How much of a stream goes into one frame."""

_HEAD = struct.Struct(">cI")


class Kind(Enum):
    """What a frame holds."""

    COMMAND = b"c"
    STDIN = b"i"
    STDOUT = b"o"
    STDERR = b"e"
    EXIT = b"x"
    FAILED = b"f"


class Command(msgspec.Struct, frozen=True):
    """What to run: a program and its arguments. Without `stdin` it reads nothing."""

    words: list[str]
    stdin: bool = False


class Exited(msgspec.Struct, frozen=True):
    """How it ended: as a shell tells it, so 128 and the signal's number for one that was killed."""

    status: int


class Failed(msgspec.Struct, frozen=True):
    """Why it could not be run."""

    message: str


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame: its kind, and what it carries, at most `MAX_PAYLOAD_BYTES`."""

    kind: Kind
    payload: bytes


def encode(kind: Kind, payload: bytes = b"") -> bytes:
    """The bytes of one frame; a payload must be within `MAX_PAYLOAD_BYTES`."""
    return _HEAD.pack(kind.value, len(payload)) + payload


def command(words: list[str], *, stdin: bool) -> bytes:
    """The frame a client begins with. Raises `InvalidInput` for a command line that is too long, or none."""
    payload = msgspec.json.encode(Command(words, stdin))
    if not words or len(payload) > MAX_PAYLOAD_BYTES:
        raise InvalidInput(f"a command line has 1 to {MAX_PAYLOAD_BYTES} bytes; this one has {len(payload)}")
    return encode(Kind.COMMAND, payload)


def read_command(frame: Frame) -> Command:
    """The command of a first frame. Raises `InvalidInput`."""
    if frame.kind is not Kind.COMMAND:
        raise InvalidInput(f"the first frame is {frame.kind.name}, not COMMAND")
    try:
        found = msgspec.json.decode(frame.payload, type=Command)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"cannot read the command: {error}") from error
    if not found.words or not found.words[0] or any("\0" in word for word in found.words):
        raise InvalidInput("there is no command: give a program and its arguments, without NUL characters")
    return found


class Frames:
    """Cuts received bytes into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield every frame that is whole by now. Raises `InvalidInput` for what is none."""
        self._buffer += data
        while len(self._buffer) >= _HEAD.size:
            mark, length = _HEAD.unpack_from(self._buffer)
            if length > MAX_PAYLOAD_BYTES:
                raise InvalidInput(f"a frame of {length} bytes: at most {MAX_PAYLOAD_BYTES} are taken")
            if len(self._buffer) < _HEAD.size + length:
                return
            payload = bytes(self._buffer[_HEAD.size : _HEAD.size + length])
            del self._buffer[: _HEAD.size + length]
            yield Frame(_kind(mark), payload)


def _kind(mark: bytes) -> Kind:
    try:
        return Kind(mark)
    except ValueError:
        raise InvalidInput(f"a frame of the unknown kind {mark!r}") from None
