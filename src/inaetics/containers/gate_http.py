"""Passing one HTTP request on to the registry behind the gate, and its answer back, piece by piece.

The request is written anew, with a length or chunks of our own making: whatever framing a client sends, the registry
reads what was understood here. Nothing is held in memory but manifests, which are small.
"""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Mapping
from contextlib import suppress
from email.message import Message
from http import HTTPStatus
from typing import Protocol

from inaetics.containers.replicate_http import MOST_MANIFEST, PIECE, Answer
from inaetics.errors import InaeticsError, InvalidInput

HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "upgrade", "expect"}
    | {"transfer-encoding", "content-length", "proxy-connection"}
)
_LONGEST_LINE = 1024


class Cut(InaeticsError):
    """The client went away in the middle of its request: what it sent is nothing."""


class Reader(Protocol):
    """What a request's body is read from."""

    def read(self, size: int = -1, /) -> bytes: ...
    def read1(self, size: int = -1, /) -> bytes: ...
    def readline(self, size: int = -1, /) -> bytes: ...


class Writer(Protocol):
    """What an answer is written to."""

    def write(self, content: bytes, /) -> object: ...


def body_length(headers: Message) -> int | None:
    """The length of a body, None for one in chunks; raises `InvalidInput` for what can be read in two ways."""
    lengths, encodings = headers.get_all("Content-Length", []), headers.get_all("Transfer-Encoding", [])
    if encodings:
        if lengths or [each.strip().lower() for each in encodings] != ["chunked"]:
            raise InvalidInput("a request has either a Content-Length or Transfer-Encoding: chunked")
        return None
    if not lengths:
        return 0
    if len(set(lengths)) > 1 or not (lengths[0].isascii() and lengths[0].isdigit()):
        raise InvalidInput(f"Content-Length is {', '.join(lengths)}")
    return int(lengths[0])


def body(reader: Reader, length: int | None) -> Iterator[bytes]:
    """The body, piece by piece; raises `Cut` when it ends before its end."""
    if length is not None:
        yield from _exactly(reader, length)
        return
    while size := _chunk_size(reader):
        yield from _exactly(reader, size)
        if reader.readline(_LONGEST_LINE).strip():
            raise Cut("a chunk is longer than it says")
    while reader.readline(_LONGEST_LINE).strip():
        pass  # trailers mean nothing here


def whole_body(reader: Reader, length: int | None) -> bytes:
    """The body at once, for a manifest; raises `InvalidInput` when it is too large for one."""
    found = bytearray()
    for piece in body(reader, length):
        found += piece
        if len(found) > MOST_MANIFEST:
            raise InvalidInput(f"a manifest has at most {MOST_MANIFEST} bytes")
    return bytes(found)


def send(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    headers: Message,
    content: Iterator[bytes] | bytes,
    length: int | None,
) -> Answer:
    """Send the request on and return the registry's answer, unread. A client that is cut off cuts the registry off."""
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in headers.items():
        if name.lower() not in HOP_BY_HOP:
            connection.putheader(name, value)
    connection.putheader("X-Forwarded-Proto", "https")
    size = len(content) if isinstance(content, bytes) else length
    if size is None:
        connection.putheader("Transfer-Encoding", "chunked")
    elif size or method in ("POST", "PUT", "PATCH"):
        connection.putheader("Content-Length", str(size))
    with suppress(BrokenPipeError, ConnectionResetError):  # it may have answered before it has heard all
        connection.endheaders(content or None, encode_chunked=size is None)
    return connection.getresponse()


def kept_headers(answer: Answer) -> Mapping[str, str]:
    """The headers of an answer that are meant for the client."""
    return {name: value for name, value in answer.getheaders() if name.lower() not in HOP_BY_HOP}


def has_body(method: str, status: int) -> bool:
    """Whether an answer has a body at all."""
    return method != "HEAD" and status not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED) and status >= 200


def copy_answer(answer: Answer, out: Writer, *, chunked: bool) -> None:
    """Write an answer's body as it comes. Raises what `out` raises; an answer cut off is cut off here too."""
    left = answer.length
    while piece := answer.read(PIECE):
        if left is not None:
            left -= len(piece)
        out.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
    if left:
        raise Cut("the registry's answer ended before its end")
    if chunked:
        out.write(b"0\r\n\r\n")


def _exactly(reader: Reader, length: int) -> Iterator[bytes]:
    left = length
    while left:
        piece = reader.read1(min(left, PIECE))
        if not piece:
            raise Cut(f"{left} of {length} bytes never came")
        left -= len(piece)
        yield piece


def _chunk_size(reader: Reader) -> int:
    line = reader.readline(_LONGEST_LINE)
    digits = line.partition(b";")[0].strip()
    if not line.endswith(b"\n") or not digits or len(digits) > 15:
        raise Cut("a chunk has no size")
    try:
        size = int(digits, 16)
    except ValueError:
        raise Cut("a chunk has no size") from None
    if size < 0 or digits[:1] in b"+-":
        raise Cut("a chunk has no size")
    return size
