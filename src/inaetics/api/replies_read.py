"""What an answer of the API means to a client: the error it tells, as the error it was."""

from __future__ import annotations

import msgspec

from inaetics.api.wire import ErrorEntity
from inaetics.errors import Conflict, Forbidden, InaeticsError, InvalidInput, NotFound, Unavailable

_ERRORS: dict[int, type[InaeticsError]] = {
    400: InvalidInput,
    401: Forbidden,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: InvalidInput,
    415: InvalidInput,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def error_of(status: int, reason: str, body: bytes) -> InaeticsError:
    """The error an answer with this status and body means."""
    try:
        message = msgspec.json.decode(body, type=ErrorEntity).error.message
    except (msgspec.DecodeError, UnicodeDecodeError):
        message = ""
    return _ERRORS.get(status, InaeticsError)(message or f"the API answered {status} {reason}")
