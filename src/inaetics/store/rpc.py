"""How a call over gRPC ends: its status, and the error for every other one than OK. Seen inside the store only."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from urllib.parse import unquote


class Status(IntEnum):
    """gRPC's status codes, all of them: an error is shown by its name."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class RpcError(Exception):
    """A call that ended with another status than OK. `sent` is false when the server certainly has not seen it."""

    def __init__(self, code: Status, details: str, *, sent: bool = True) -> None:
        super().__init__(f"{code.name}: {details}")
        self.code = code
        self.details = details
        self.sent = sent


_OF_HTTP = {
    400: Status.INTERNAL,
    401: Status.UNAUTHENTICATED,
    403: Status.PERMISSION_DENIED,
    404: Status.UNIMPLEMENTED,
    429: Status.UNAVAILABLE,
    502: Status.UNAVAILABLE,
    503: Status.UNAVAILABLE,
    504: Status.UNAVAILABLE,
}
"""What an answer without a status of gRPC's means, by its HTTP status (gRPC's http-grpc-status-mapping.md)."""

_REFUSED_STREAM, _CANCEL, _ENHANCE_YOUR_CALM, _INADEQUATE_SECURITY = 7, 8, 11, 12
_OF_RESET = {
    _REFUSED_STREAM: Status.UNAVAILABLE,
    _CANCEL: Status.CANCELLED,
    _ENHANCE_YOUR_CALM: Status.RESOURCE_EXHAUSTED,
    _INADEQUATE_SECURITY: Status.PERMISSION_DENIED,
}
"""What a stream that the server resets means, by HTTP/2's error code (PROTOCOL-HTTP2.md)."""


def of_trailers(headers: Mapping[str, str]) -> RpcError | None:
    """What the last headers of an answer say; None: it ended well."""
    if "grpc-status" not in headers:
        http = headers.get(":status", "")
        code = _OF_HTTP.get(int(http), Status.UNKNOWN) if http.isdigit() else Status.UNKNOWN
        return RpcError(code, f"the answer has no status (HTTP status {http or 'none'})")
    text = headers["grpc-status"]
    number = int(text) if text.isdigit() else int(Status.UNKNOWN)
    if number == Status.OK:
        return None
    code = Status(number) if number in Status.__members__.values() else Status.UNKNOWN
    return RpcError(code, unquote(headers.get("grpc-message", "")) or f"status {text}")


def of_reset(number: int) -> RpcError:
    """What the reset of a stream with HTTP/2's error `number` means."""
    details = f"the server reset the stream (error {number})"
    return RpcError(_OF_RESET.get(number, Status.INTERNAL), details, sent=number != _REFUSED_STREAM)
