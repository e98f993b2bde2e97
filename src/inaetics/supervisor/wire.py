"""What goes over the control socket: one JSON object a line, both ways.

Most requests are answered by one reply, and more may follow on the connection, before the answer too: answers come in
order. `watch` and a `journal` that is followed go on until the client hangs up; `shutdown` ends the connection. Fields
that are not known are left aside, so that both ends may be of different age.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from inaetics import errors
from inaetics.errors import InaeticsError, UnitFileError
from inaetics.supervisor.protocol import UnitStatus

Operation = Literal[
    "ping", "load", "start", "stop", "restart", "reload", "unload", "arm", "states", "watch", "journal", "shutdown"
]

MAX_REQUEST_BYTES = 8 * 1024 * 1024


class Request(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One request: an operation and what it needs.

    `deadline` is a reading of CLOCK_BOOTTIME, so that a request that waits on its way moves nothing.
    """

    op: Operation
    name: str = ""
    text: str = ""
    lines: int = 10
    follow: bool = False
    stop_when_lost: bool = False
    deadline: float = 0.0


class WireError(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An error of `inaetics.errors`: its class, its message, and the line of a unit file."""

    kind: str
    message: str
    line: int | None = None


class Reply(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One answer, or one part of a stream; `end` marks the last part."""

    error: WireError | None = None
    statuses: list[UnitStatus] = []
    gone: list[str] = []
    lines: list[str] = []
    pid: int = 0
    end: bool = False


_encoder = msgspec.json.Encoder()
_requests = msgspec.json.Decoder(Request)
_replies = msgspec.json.Decoder(Reply)


def encode(message: Request | Reply) -> bytes:
    """Return the message as a line."""
    return _encoder.encode(message) + b"\n"


def decode_request(line: bytes) -> Request:
    """Read a request. Raises `InvalidInput`."""
    try:
        return _requests.decode(line)
    except msgspec.MsgspecError as error:
        raise errors.InvalidInput(f"cannot understand the request: {error}") from error


def decode_reply(line: bytes) -> Reply:
    """Read a reply. Raises `Unavailable` for what is none, and the error it carries."""
    try:
        reply = _replies.decode(line)
    except msgspec.MsgspecError as error:
        raise errors.Unavailable(f"cannot understand the supervisor's answer: {error}") from error
    if reply.error is not None:
        raise _error_of(reply.error)
    return reply


def reply_of(error: InaeticsError) -> Reply:
    """Return the reply that carries an error."""
    line = error.line if isinstance(error, UnitFileError) else None
    return Reply(error=WireError(kind=type(error).__name__, message=str(error), line=line), end=True)


_KINDS: dict[str, type[InaeticsError]] = {
    kind.__name__: kind for kind in (errors.InvalidInput, errors.NotFound, errors.Conflict, errors.Unavailable)
}


def _error_of(wire: WireError) -> InaeticsError:
    if wire.kind == UnitFileError.__name__:
        return UnitFileError(wire.message, line=wire.line)
    return _KINDS.get(wire.kind, InaeticsError)(wire.message)
