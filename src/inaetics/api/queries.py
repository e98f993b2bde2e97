"""Numbers in a request's query, read strictly: what is malformed is named."""

from __future__ import annotations

from starlette.requests import Request

from inaetics.errors import InvalidInput


def number(request: Request, key: str, *, default: int, limit: int) -> int:
    """A whole number from 0 to `limit`."""
    text = request.query_params.get(key, str(default))
    if not text.isascii() or not text.isdecimal() or len(text) > 20 or int(text) > limit:
        raise InvalidInput(f"query parameter {key}={text!r}: give a whole number from 0 to {limit}")
    return int(text)


def seconds(request: Request, key: str, *, limit: float) -> float:
    """Seconds from 0 to `limit`; 0 when nothing is said."""
    text = request.query_params.get(key, "0")
    try:
        given = float(text)
    except ValueError:
        given = -1.0
    if not 0 <= given <= limit:
        raise InvalidInput(f"query parameter {key}={text!r}: give seconds from 0 to {limit:g}")
    return given
