"""Who listens on an address already: read from /proc, so that the answer names the process and not only the port."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

LISTEN = "0A"
"""TCP_LISTEN in the `st` column of /proc/net/tcp."""

ANY = ("0.0.0.0", "::")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A listening TCP socket; `inode` leads to the process that holds it."""

    address: str
    port: int
    inode: int

    def blocks(self, address: str, port: int) -> bool:
        """Whether a bind to this address would fail because of it."""
        return self.port == port and (self.address == address or self.everywhere)

    @property
    def everywhere(self) -> bool:
        """Whether it listens on every address, so that no other subnet helps."""
        return self.address in ANY


def parse(table: str) -> list[Listener]:
    """Listening sockets in the text of /proc/net/tcp or tcp6."""
    rows = (line.split() for line in table.splitlines()[1:])
    found = (row for row in rows if len(row) > 9 and row[3] == LISTEN)
    return [_listener(row[1], row[9]) for row in found]


def _listener(local: str, inode: str) -> Listener:
    address, port = local.split(":")
    return Listener(address=_address(address), port=int(port, 16), inode=int(inode))


def _address(digits: str) -> str:
    """The kernel prints an address as 32-bit words in the machine's byte order (little-endian where we run)."""
    words = [bytes.fromhex(digits[i : i + 8])[::-1] for i in range(0, len(digits), 8)]
    packed = b"".join(words)
    if len(packed) == 4:
        return socket.inet_ntop(socket.AF_INET, packed)
    if packed.startswith(b"\0" * 10 + b"\xff\xff"):
        return socket.inet_ntop(socket.AF_INET, packed[12:])
    return socket.inet_ntop(socket.AF_INET6, packed)


def listeners(net: Path = Path("/proc/net")) -> list[Listener]:
    """Every listening TCP socket of this machine."""
    tables = (net / name for name in ("tcp", "tcp6"))
    return [each for table in tables if table.exists() for each in parse(table.read_text())]


def in_use(
    wanted: Iterable[tuple[str, int]], found: Iterable[Listener] | None = None
) -> list[tuple[str, int, Listener]]:
    """Those of `wanted` (address, port) that cannot be bound, each with the socket in the way."""
    there = listeners() if found is None else list(found)
    return [(address, port, each) for address, port in wanted for each in there if each.blocks(address, port)]


def holder(inode: int, proc: Path = Path("/proc")) -> str:
    """`process 123 (nginx -g …)`, or how to find out when it is another user's."""
    link = f"socket:[{inode}]"
    for name in os.listdir(proc):
        if name.isdigit() and link in _open_files(proc / name / "fd"):
            command = (proc / name / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            return f"process {name} ({command[:100]})"
    return "a process of another user (see: sudo ss -ltnp)"


def _open_files(directory: Path) -> set[str]:
    found = set[str]()
    try:
        for name in os.listdir(directory):
            found.add(os.readlink(directory / name))
    except OSError:
        return found  # another user's, or it ended: whatever was seen until then counts
    return found
