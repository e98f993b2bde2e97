"""The journals: `DIR/journal/<unit>/current` holds what a unit and its supervisor said, oldest first.

A unit's processes write to the file themselves (it is opened to append), so nothing is lost or blocked when the
supervisor is gone. The supervisor's own lines begin with the time and `supervisor:`.

A journal is bounded by giving the disk space of its oldest part back (a hole is punched), while processes go on
writing: no line is lost on the way, none is copied. The file's length goes on growing, its space does not; readers
skip the hole. Where the file system has no holes, the newest part is copied to the front instead; a line written at
that very moment may be lost there.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Container
from pathlib import Path

from inaetics.errors import NotFound
from inaetics.supervisor import linux

KEEP_BYTES = 4 * 1024 * 1024
"""What stays of a journal when it is cut."""

CUT_ABOVE_BYTES = 2 * KEEP_BYTES

KEEP_FORGOTTEN = 200
"""Journals of units that were unloaded stay readable, so many of them."""

_BLOCK = 4096
_CHUNK = 65536


class Journals:
    """All journals below `directory`. Units' names were validated before they come here."""

    def __init__(self, directory: Path) -> None:
        self._directory = str(directory)

    def path(self, unit: str) -> str:
        """Return where the journal of `unit` is, whether it exists or not."""
        return f"{self._directory}/{unit}/current"

    def make(self, unit: str) -> None:
        """Make an empty journal unless there is one. Raises OSError."""
        os.close(self.open(unit))

    def open(self, unit: str) -> int:
        """Return a descriptor for a unit's processes to write to; the caller closes it."""
        path = self.path(unit)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        try:
            return os.open(path, flags, 0o640)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            return os.open(path, flags, 0o640)

    def say(self, unit: str, *texts: str) -> None:
        """Add lines of the supervisor's own. Raises OSError, as when the disk is full.

        An unfinished line is ended first, unless the unit writes it in the very moment between looking and writing.
        """
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        fd = self.open(unit)
        try:
            lines = "".join(f"{stamp} supervisor: {text}\n" for text in texts)
            os.write(fd, (b"" if _at_line_start(fd) else b"\n") + lines.encode())
        finally:
            os.close(fd)

    def tail(self, unit: str, lines: int) -> tuple[list[str], int]:
        """Return the last `lines` whole lines and the offset behind them. Raises `NotFound` without a journal."""
        try:
            fd = os.open(self.path(unit), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise NotFound(f"there is no journal of {unit!r} on this host") from error
        try:
            return _tail(fd, lines)
        finally:
            os.close(fd)

    def read(self, unit: str, offset: int) -> tuple[list[str], int]:
        """Return whole lines from `offset` on, a bounded number, and the offset behind them."""
        with open(self.path(unit), "rb") as file:
            if os.fstat(file.fileno()).st_size < offset:
                offset = 0  # it was cut by copying
            file.seek(offset)
            data = file.read(_CHUNK)
        whole = data.rfind(b"\n") + 1
        if whole == 0 and len(data) == _CHUNK:
            return [data.decode("utf-8", errors="replace")], offset + len(data)  # a very long line comes in parts
        return _lines(data[:whole]), offset + whole

    def prune(self, known: Container[str]) -> None:
        """Remove the oldest journals of units that are not known any more, all but the newest KEEP_FORGOTTEN."""
        forgotten = sorted((self._written_at(unit), unit) for unit in self._units() if unit not in known)
        for _, unit in forgotten[: max(0, len(forgotten) - KEEP_FORGOTTEN)]:
            shutil.rmtree(f"{self._directory}/{unit}", ignore_errors=True)

    def _units(self) -> list[str]:
        try:
            return os.listdir(self._directory)
        except FileNotFoundError:
            return []

    def _written_at(self, unit: str) -> float:
        try:
            return os.stat(self.path(unit)).st_mtime
        except FileNotFoundError:
            return 0.0

    def cut(self, unit: str) -> int:
        """Give disk space back when the journal takes more than its bound; return its length. Raises OSError."""
        path = self.path(unit)
        seen = os.stat(path)
        if seen.st_blocks * 512 > CUT_ABOVE_BYTES:
            _cut(path)
        return seen.st_size


def _at_line_start(fd: int) -> bool:
    size = os.fstat(fd).st_size
    return size == 0 or os.pread(fd, 1, size - 1) in (b"\n", b"\0")


def _tail(fd: int, lines: int) -> tuple[list[str], int]:
    """Read backwards, a chunk at a time, until there are enough lines, or the hole, or the start."""
    end = os.fstat(fd).st_size
    at, data = end, b""
    while at > 0 and data.count(b"\n") <= lines:
        start = max(0, at - _CHUNK)
        chunk = os.pread(fd, at - start, start)
        hole = chunk.rfind(b"\0\0\0\0\0\0\0\0")
        if hole >= 0:
            behind = chunk[hole + 8 :] + data
            data = behind[behind.find(b"\n") + 1 :]  # the line at the cut is not whole
            break
        at, data = start, chunk + data
    whole = data.rfind(b"\n") + 1
    offset = end - (len(data) - whole)
    return (_lines(data[:whole])[-lines:] if lines > 0 else []), offset


def _lines(data: bytes) -> list[str]:
    """Split data that ends with a line end, or is empty."""
    return data.decode("utf-8", errors="replace").split("\n")[:-1]


def _cut(path: str) -> None:
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        length = max(0, os.fstat(fd).st_size - KEEP_BYTES) // _BLOCK * _BLOCK
        linux.punch_hole(fd, 0, length)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        _copy_down(fd)
    finally:
        os.close(fd)


def _copy_down(fd: int) -> None:
    """Move the newest part to the front of the file and end it there."""
    kept = os.pread(fd, KEEP_BYTES, os.fstat(fd).st_size - KEEP_BYTES)
    os.ftruncate(fd, 0)
    os.pwrite(fd, kept[kept.find(b"\n") + 1 :], 0)
