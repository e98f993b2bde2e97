"""Pages and their tokens, bit for bit as the original's, whose clients may keep a token over a restart of the API.

A token is two little-endian 16-bit numbers, limit and page, in URL-safe base64. The limit is always 100. Pure.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Sequence
from typing import TypeVar

from inaetics.errors import InvalidInput

Item = TypeVar("Item")

LIMIT = 100
_TOKEN = struct.Struct("<HH")
_LAST_PAGE = 0xFFFF


def encode_token(page: int) -> str:
    """Return the token of the 1-based `page`."""
    return base64.urlsafe_b64encode(_TOKEN.pack(LIMIT, page)).decode()


def decode_token(token: str) -> int:
    """Return the 1-based page of `token`; raises `InvalidInput` for what no server of ours gave out."""
    try:
        limit, page = _TOKEN.unpack(base64.b64decode(token, altchars=b"-_", validate=True))
    except (binascii.Error, struct.error, ValueError) as error:
        raise InvalidInput(f"invalid value of nextPageToken query parameter {token!r}: not a page token") from error
    if limit != LIMIT or page == 0:
        raise InvalidInput(f"invalid value of nextPageToken query parameter {token!r}: not one of this server's")
    return int(page)


def page_of(items: Sequence[Item], tokens: Sequence[str]) -> tuple[tuple[Item, ...], str | None]:
    """Cut the page that the request's `tokens` (none or one) ask for; also return the next page's token, if any."""
    if len(tokens) > 1:
        raise InvalidInput("too many values for the nextPageToken query parameter: give one")
    page = decode_token(tokens[0]) if tokens else 1
    start, stop = (page - 1) * LIMIT, page * LIMIT
    more = stop < len(items) and page < _LAST_PAGE
    return tuple(items[start:stop]), encode_token(page + 1) if more else None
