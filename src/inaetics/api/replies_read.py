"""What an answer of the API means to a client: the error it tells, as the error it was."""

from __future__ import annotations

import msgspec

from inaetics.api.wire import ErrorEntity
from inaetics.errors import InaeticsError, error_of_status


def error_of(status: int, reason: str, body: bytes) -> InaeticsError:
    """The error an answer with this status and body means."""
    try:
        message = msgspec.json.decode(body, type=ErrorEntity).error.message
    except (msgspec.DecodeError, UnicodeDecodeError):
        message = ""
    return error_of_status(status)(message or f"the API answered {status} {reason}")
