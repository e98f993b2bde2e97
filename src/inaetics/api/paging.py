"""Pages and their tokens, which begin with the original's: one of its own, or kept over a restart, is understood.

A token is two little-endian 16-bit numbers, limit and page, in URL-safe base64. The limit is always 100. Ours add two
bytes of the resource they belong to, so that one given to another resource is refused, not misunderstood. Pure.
"""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from collections.abc import Sequence
from typing import TypeVar

from inaetics.errors import InvalidInput

Item = TypeVar("Item")

LIMIT = 100
_TOKEN = struct.Struct("<HH")
_LAST_PAGE = 0xFFFF


def encode_token(page: int, resource: str = "") -> str:
    """Return the token of the 1-based `page` of `resource`."""
    return base64.urlsafe_b64encode(_TOKEN.pack(LIMIT, page) + _mark(resource)).decode()


def decode_token(token: str, resource: str = "") -> int:
    """Return the 1-based page of `token`; raises `InvalidInput` for what is none, or another resource's."""
    try:
        data = base64.b64decode(token, altchars=b"-_", validate=True)
        limit, page = _TOKEN.unpack(data[: _TOKEN.size])
    except (binascii.Error, struct.error, ValueError) as error:
        raise InvalidInput(f"invalid value of nextPageToken query parameter {token!r}: not a page token") from error
    if limit != LIMIT or page == 0:
        raise InvalidInput(f"invalid value of nextPageToken query parameter {token!r}: not one of this server's")
    if (mark := data[_TOKEN.size :]) and mark != _mark(resource):
        raise InvalidInput(
            f"invalid value of nextPageToken query parameter {token!r}: it is not of {resource or 'this'}"
        )
    return int(page)


def page_of(items: Sequence[Item], tokens: Sequence[str], resource: str = "") -> tuple[tuple[Item, ...], str | None]:
    """Cut the page that the request's `tokens` (none or one) ask for; also return the next page's token, if any."""
    if len(tokens) > 1:
        raise InvalidInput("too many values for the nextPageToken query parameter: give one")
    page = decode_token(tokens[0], resource) if tokens else 1
    start, stop = (page - 1) * LIMIT, page * LIMIT
    more = stop < len(items) and page < _LAST_PAGE
    return tuple(items[start:stop]), encode_token(page + 1, resource) if more else None


def _mark(resource: str) -> bytes:
    """What tells a resource's tokens from another's: to a client a token is opaque."""
    return zlib.crc32(resource.encode()).to_bytes(4, "little")[:2] if resource else b""
