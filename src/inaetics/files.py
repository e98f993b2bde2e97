"""Replacing a file whole or not at all: the one rule for what must not be found half written.

Nothing but the standard library, and little of it: small programs use it too. Promises: whoever opens the path finds
what was there before or all of what is there now. A `durable` file is on the disk, with its name, before the call
returns, so a power cut finds the same; that takes a few milliseconds. `durable=False` is for what is made again anyway,
or counts only until the machine's next boot: after a power cut it may be empty.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

OWNER_ONLY = 0o600


def replace_file(path: Path, content: str | bytes, *, mode: int = OWNER_ONLY, durable: bool = True) -> None:
    """Put `content` in the place of `path`; missing directories are made for their owner only. Raises `OSError`."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with replacing(path, mode=mode, durable=durable) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def replacing(path: Path, *, mode: int = OWNER_ONLY, durable: bool = True) -> Iterator[BinaryIO]:
    """Open a new file that takes the place of `path` when the block ends, and is gone when it fails.

    For content that comes in pieces; the directory must be there. Raises `OSError`.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        with open(descriptor, "wb") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    if durable:
        _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    """The new name is part of the directory: without this a power cut may bring the old one back."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
