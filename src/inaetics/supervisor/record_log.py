"""One file that only grows, of what was written down last under each name; a killed writer costs nothing.

Making, renaming and removing files costs far more than writing to one that is open, and a supervisor notes something
several times for each start. So every note is a line, with its checksum, at the end of one file; for each name and
kind of note the last whole line counts. A line that its writer was killed over, or that a full disk cut short, does
not count, and the one before does. When most of the file is past, what counts is written anew beside it.

Nothing is synced to the disk: the file matters only as long as the machine's boot, and outlives any process.
"""

from __future__ import annotations

import errno
import os
from binascii import crc32
from collections.abc import Iterator
from contextlib import suppress

REWRITE_ABOVE_BYTES = 1024 * 1024
_PAST_TO_PRESENT = 4


class RecordLog:
    """Notes by name and kind (one word each). Call `open` or `begin` first."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = -1
        self._end = 0
        self._torn = False
        self._notes: dict[str, dict[str, bytes]] = {}
        self._present = 0

    def begin(self) -> None:
        """Forget everything."""
        self._notes, self._present = {}, 0
        self._take(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600), 0)

    def open(self) -> None:
        """Read what an earlier writer left, and go on behind it."""
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._take(fd, os.fstat(fd).st_size)
        with open(self._path, "rb") as file:
            content = file.read()
        self._notes, self._present = {}, 0
        for line in content.split(b"\n"):
            for name, kind, note in _noted(line):
                self._put(name, kind, note)
        self._torn = not content.endswith(b"\n")

    def close(self) -> None:
        """Let the file go; it stays."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def names(self) -> list[str]:
        """Return the names that have notes."""
        return sorted(self._notes)

    def get(self, name: str, kind: str) -> bytes | None:
        """Return the last note of this kind."""
        return self._notes.get(name, {}).get(kind)

    def put(self, name: str, kind: str, note: bytes) -> None:
        """Note something, on one line. Raises OSError, and then the note before still counts."""
        self._append(_line(name, kind, note))
        self._put(name, kind, note)
        if self._end > REWRITE_ABOVE_BYTES and self._end > _PAST_TO_PRESENT * self._present:
            with suppress(OSError):  # it goes on growing while there is no room beside it
                self._rewrite()

    def drop(self, name: str) -> None:
        """Forget all notes of a name. Raises OSError, and then they still count."""
        if name in self._notes:
            self._append(_line(name, "", b""))
            self._put(name, "", b"")

    def _put(self, name: str, kind: str, note: bytes) -> None:
        if not kind:
            self._present -= sum(map(len, self._notes.pop(name, {}).values()))
            return
        notes = self._notes.setdefault(name, {})
        self._present += len(note) - len(notes.get(kind, b""))
        notes[kind] = note

    def _append(self, line: bytes) -> None:
        whole = b"\n" + line if self._torn else line
        written = os.write(self._fd, whole)
        self._end += written
        self._torn = written < len(whole)
        if self._torn:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._path)

    def _rewrite(self) -> None:
        lines = (_line(name, kind, note) for name, notes in self._notes.items() for kind, note in notes.items())
        content = b"".join(lines)
        beside = f"{self._path}.new"
        fd = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            _write(fd, content)
            os.rename(beside, self._path)
        except OSError:
            os.close(fd)
            raise
        self._take(fd, len(content))

    def _take(self, fd: int, end: int) -> None:
        self.close()
        self._fd, self._end, self._torn = fd, end, False


def _write(fd: int, content: bytes) -> None:
    if os.write(fd, content) < len(content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _line(name: str, kind: str, note: bytes) -> bytes:
    body = f"{name} {kind} ".encode() + note
    return b"%08x %s\n" % (crc32(body), body)


def _noted(line: bytes) -> Iterator[tuple[str, str, bytes]]:
    """Yield name, kind and note of a line; nothing when it is not whole."""
    checksum, _, body = line.partition(b" ")
    if checksum == b"%08x" % crc32(body) and body.count(b" ") >= 2:
        name, kind, note = body.split(b" ", 2)
        yield name.decode(), kind.decode(), note
