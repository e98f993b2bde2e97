"""Headers of HTTP/2 (RFC 7541) for a client that keeps no dynamic table: it says so in its settings, so that every
block stands for itself and one that came before need not be read again.

Reads what a server of gRPC writes; writes literals only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType

_NAMES = tuple(
    """
    :authority :method :method :path :path :scheme :scheme :status :status :status :status :status :status :status
    accept-charset accept-encoding accept-language accept-ranges accept access-control-allow-origin age allow
    authorization cache-control content-disposition content-encoding content-language content-length content-location
    content-range content-type cookie date etag expect expires from host if-match if-modified-since if-none-match
    if-range if-unmodified-since last-modified link location max-forwards proxy-authenticate proxy-authorization range
    referer refresh retry-after server set-cookie strict-transport-security transfer-encoding user-agent vary via
    www-authenticate
    """.split()  # noqa: SIM905 - as a list it would be a page
)
"""The static table's names; the first is number 1."""

_VALUES = {2: "GET", 3: "POST", 4: "/", 5: "/index.html", 6: "http", 7: "https", 16: "gzip, deflate"} | dict(
    zip(range(8, 15), ("200", "204", "206", "304", "400", "404", "500"), strict=True)
)
"""The static table's values, where it has any."""

OK_STATUS = b"\x88"
"""`:status: 200`, with which every answer that is one begins."""

_TABLE_SIZE = 0x20
"""The server says that its table is empty too: `OK_STATUS` may stand behind it."""


def encode(headers: Mapping[str, str]) -> bytes:
    """Write headers as literals that nobody is asked to remember."""
    return b"".join(b"\0" + _string(name) + _string(value) for name, value in headers.items())


def is_ok(block: bytes) -> bool:
    """Whether a block begins an answer with HTTP status 200. Looks at its first bytes only."""
    return block.startswith(OK_STATUS, len(block) - len(block.lstrip(bytes([_TABLE_SIZE]))))


@lru_cache(maxsize=64)
def decode(block: bytes) -> Mapping[str, str]:
    """Read a block; of a name that comes twice the last value counts. Raises ValueError for what is none."""
    return MappingProxyType(dict(_fields(block)))


def _fields(block: bytes) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(block):
        first = block[at]
        if first & 0x80:
            index, at = _integer(block, at, 7)
            yield _name(index), _VALUES.get(index, "")
        elif first & 0xE0 == _TABLE_SIZE:
            size, at = _integer(block, at, 5)
            if size:
                raise ValueError(f"a table of {size} bytes was never allowed")
        else:
            index, at = _integer(block, at, 6 if first & 0x40 else 4)
            name, at = (_name(index), at) if index else _text(block, at)
            value, at = _text(block, at)
            yield name, value


def _name(index: int) -> str:
    if not 1 <= index <= len(_NAMES):
        raise ValueError(f"header {index} is in no table")
    return _NAMES[index - 1]


def _string(text: str) -> bytes:
    data = text.encode("ascii")
    assert len(data) < 127, "our headers are short: their length fits the prefix"
    return bytes([len(data)]) + data


def _integer(block: bytes, at: int, bits: int) -> tuple[int, int]:
    """RFC 7541, 5.1; returns the number and where it ends."""
    full = (1 << bits) - 1
    number, at = _byte(block, at) & full, at + 1
    shift = 0
    while number >= full:
        more, at = _byte(block, at), at + 1
        number += (more & 0x7F) << shift
        shift += 7
        if not more & 0x80:
            break
        if shift > 28:
            raise ValueError("a number is too large")
    return number, at


def _byte(block: bytes, at: int) -> int:
    if at >= len(block):
        raise ValueError("the headers end too early")
    return block[at]


def _text(block: bytes, at: int) -> tuple[str, int]:
    """RFC 7541, 5.2."""
    packed = _byte(block, at) & 0x80
    length, at = _integer(block, at, 7)
    data = block[at : at + length]
    if len(data) < length:
        raise ValueError("the headers end too early")
    return (_unpacked(data) if packed else data.decode("latin-1")), at + length


_LENGTHS: dict[int, tuple[str, int]] = {
    5: ("012aceiost", 0),
    6: (" %-./3456789=A_bdfghlmnpru", 0),
    7: (":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz", 0),
    8: ("&*,;XZ", 0),
    10: ('!"()?', 0),
    11: ("'+|", 0),
    12: ("#>", 0),
    13: ("\0$@[]~", 0),
    14: ("^}", 0),
    15: ("<`{", 0),
    19: ("\\", 2),
}
"""Huffman's code (RFC 7541, appendix B) by its lengths: it is canonical, so they say all. ASCII only; the number is of
others of that length. The lengths above 19 are for what no header of gRPC's holds."""


def _codes() -> dict[tuple[int, int], str]:
    found: dict[tuple[int, int], str] = {}
    code = before = 0
    for length, (letters, others) in _LENGTHS.items():
        code <<= length - before
        before = length
        for letter in letters:
            found[length, code] = letter
            code += 1
        code += others
    return found


_CODES = _codes()
_LONGEST = max(_LENGTHS)


def _unpacked(data: bytes) -> str:
    letters: list[str] = []
    code = length = 0
    for byte in data:
        for shift in range(7, -1, -1):
            code = code << 1 | (byte >> shift & 1)
            length += 1
            if letter := _CODES.get((length, code)):
                letters.append(letter)
                code = length = 0
            elif length > _LONGEST:
                raise ValueError("a header holds what is not ASCII")
    if length > 7 or code != (1 << length) - 1:  # what fills the last byte are ones
        raise ValueError("a header ends within a letter")
    return "".join(letters)
