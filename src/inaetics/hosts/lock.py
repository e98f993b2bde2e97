"""One change to a cluster at a time: a lock held by the kernel, so that a crash cannot leave it behind."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from inaetics.errors import Conflict
from inaetics.hosts.paths import ClusterPaths


@contextmanager
def locked(paths: ClusterPaths, doing: str) -> Iterator[None]:
    """Hold the cluster's lock; raises `Conflict` that names who holds it. The cluster's directory must exist."""
    file = _acquire(paths)
    try:
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()} {doing}\n".encode(), 0)
        yield
    finally:
        os.close(file)


def _acquire(paths: ClusterPaths) -> int:
    while True:
        file = os.open(paths.lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(file, 200, 0).decode(errors="replace").split(maxsplit=1)
            os.close(file)
            raise Conflict(_refusal(paths.name, holder)) from None
        if _still_there(file, paths):
            return file
        os.close(file)  # a destroy removed it between open and flock


def _still_there(file: int, paths: ClusterPaths) -> bool:
    try:
        return os.path.samestat(os.fstat(file), os.stat(paths.lock))
    except FileNotFoundError:
        return False


def _refusal(cluster: str, holder: list[str]) -> str:
    pid = holder[0] if holder else "unknown"
    doing = f"'inaetics {holder[1].strip()}'" if len(holder) > 1 else "another command"
    return f"cluster {cluster!r} is being changed by {doing}, process {pid}: wait until it has ended"
