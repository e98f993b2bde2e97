"""Where what is expensive to make is kept: per user, safe to delete at any time."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inaetics.errors import CommandFailed

_STALE_S = 86_400
"""A scratch directory this old was left by a program that was killed."""

_KEPT = 4
"""Archives of one kind that stay: several checkouts may take turns."""


def cache_directory() -> Path:
    """`$XDG_CACHE_HOME/inaetics`, else `~/.cache/inaetics`; made when it is missing."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    directory = Path(base) / "inaetics"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


@contextmanager
def scratch(place: Path, purpose: str) -> Iterator[Path]:
    """A temporary directory on the cache's file system; those that killed programs left are cleared on the way."""
    place.mkdir(parents=True, exist_ok=True)
    for old in youngest_first(place, f".{purpose}-*"):
        if time.time() - _used_at(old) > _STALE_S:
            shutil.rmtree(old, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f".{purpose}-", dir=place) as directory:
        yield Path(directory)


@contextmanager
def alone(place: Path) -> Iterator[None]:
    """Keep others from making what the cache lacks: several builds at once wait for the first, and find it made."""
    place.mkdir(parents=True, exist_ok=True)
    with (place / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def check_space(place: Path, wanted: int, *, doing: str) -> None:
    """Raise `CommandFailed` when the disk below `place` has less than `wanted` bytes left for `doing`.

    The programs that fill it say other things when it is full ("apt-get update failed").
    """
    place.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(place).free
    if free < wanted:
        said = f"{free / 1e6:.0f} MB are free below {place}, and it takes {wanted / 1e6:.0f} MB"
        raise CommandFailed(f"cannot {doing}: {said} (free some space and try again)", status=errno.ENOSPC, output=said)


def used(archive: Path, kind: str) -> Path:
    """Note that `archive` was used, and let go of the archives matching `kind` that were not for the longest time."""
    try:
        os.utime(archive)
    except FileNotFoundError as error:
        reason = f"another build has just let go of {archive}"
        raise CommandFailed(f"cannot go on: {reason} (try again)", status=errno.ENOENT, output=reason) from error
    for old in youngest_first(archive.parent, kind)[_KEPT:]:
        old.unlink(missing_ok=True)
    return archive


def youngest_first(place: Path, kind: str) -> list[Path]:
    """The files of a kind, the one used last first. What another build removes meanwhile comes last."""
    return sorted(place.glob(kind), key=_used_at, reverse=True)


def _used_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
