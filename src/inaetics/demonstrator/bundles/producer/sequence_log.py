"""A producer's sequence log: what it offered and what was accepted, on disk, for whoever checks afterwards.

One file for each life of a producer, `NAME.PART.sequences`::

    8 bytes   INAETSQ1
    2 bytes   length of the producer's name, which follows as UTF-8
    then 16 bytes a batch: first sequence (8), count (4), accepted (4, signed; -1: not answered), little endian

A batch is written before it is offered, as not answered, and again in the same place when it is answered. Killed at any
point, the log says of each batch what the producer knew. The file is not synchronised: it outlives the process, not
always a power cut. A part that is full is followed by the next; the oldest files of the directory make room.
"""

from __future__ import annotations

import os
import re
import struct
from pathlib import Path

MAGIC = b"INAETSQ1"
HEAD = struct.Struct("<8sH")
RECORD = struct.Struct("<QIi")
SUFFIX = ".sequences"
NOT_ANSWERED = -1

PART_BYTES = 4 * 1024 * 1024
"""A quarter of a million batches."""
KEEP_BYTES = 64 * 1024 * 1024
"""All logs of an agent together."""


class SequenceLog:
    """The log of one life of a producer. Not safe for threads."""

    def __init__(
        self, directory: Path, producer: str, *, part_bytes: int = PART_BYTES, keep_bytes: int = KEEP_BYTES
    ) -> None:
        self._directory = directory
        self._producer = producer
        self._part_bytes = part_bytes
        self._keep_bytes = keep_bytes
        self._part = 0
        self._file = -1
        self._end = 0
        self._begin()

    def offer(self, first: int, count: int) -> None:
        """These samples are about to be offered."""
        if self._end >= self._part_bytes:
            self._part += 1
            os.close(self._file)
            self._begin()
        os.pwrite(self._file, RECORD.pack(first, count, NOT_ANSWERED), self._end)
        self._end += RECORD.size

    def answer(self, first: int, count: int, accepted: int) -> None:
        """What the last samples offered came to."""
        os.pwrite(self._file, RECORD.pack(first, count, accepted), self._end - RECORD.size)

    def close(self) -> None:
        """Idempotent."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _begin(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        self._make_room()
        name = re.sub(r"[^A-Za-z0-9@.-]", "_", self._producer)
        path = self._directory / f"{name}.{self._part}{SUFFIX}"
        text = self._producer.encode()
        head = HEAD.pack(MAGIC, len(text)) + text
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        os.write(self._file, head)
        self._end = len(head)

    def _make_room(self) -> None:
        """Remove the oldest files, so that with a whole part more it is not too much."""
        files = sorted((path.stat().st_mtime_ns, path) for path in self._directory.glob(f"*{SUFFIX}"))
        size = sum(path.stat().st_size for _, path in files)
        for _, path in files:
            if size + self._part_bytes <= self._keep_bytes:
                return
            size -= path.stat().st_size
            path.unlink()
