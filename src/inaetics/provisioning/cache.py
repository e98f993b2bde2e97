"""Archives a provisioning server has fetched: files named by their hash, bounded, and checked before they are given.

Nothing here is needed: what is missing or broken is fetched again, by this server or by another.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Collection
from pathlib import Path

import structlog

from inaetics.bundles.archive import Archive, open_archive
from inaetics.errors import InvalidInput, Unavailable

log = structlog.get_logger()

MAX_BYTES = 512 * 1024 * 1024


class ArchiveCache:
    """A directory of its own. Any thread may use it."""

    def __init__(self, directory: Path, *, max_bytes: int = MAX_BYTES) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._checked: dict[str, Archive] = {}

    def find(self, sha256: str) -> Archive | None:
        """The archive with this hash; None when it is not here, or not whole."""
        path = self._path(sha256)
        with self._lock:
            known = self._checked.get(sha256)
        if known is not None and path.exists():
            return known
        if not path.exists():
            return None
        try:
            return self._check(path, sha256)
        except InvalidInput as error:
            log.warning("cached archive not usable, fetching it again", sha256=sha256, reason=str(error))
            path.unlink(missing_ok=True)
            return None

    def add(self, sha256: str, data: bytes) -> Archive:
        """Keep an archive. Raises `InvalidInput` for what is no whole bundle, `Unavailable` when the disk is full."""
        partial = self._directory / f"{sha256}.{os.getpid()}.{threading.get_ident()}.partial"
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(data)
            open_archive(partial, sha256=sha256)
            partial.replace(self._path(sha256))
        except OSError as error:
            raise Unavailable(f"cannot keep an archive in {self._directory}: {error.strerror or error}") from error
        finally:
            partial.unlink(missing_ok=True)
        return self._check(self._path(sha256), sha256)

    def trim(self, keep: Collection[str]) -> None:
        """Forget the longest unused archives until the rest fits, but none of `keep`."""
        files = []
        for path in self._directory.glob("*.zip"):
            stat = path.stat()
            files.append((stat.st_atime, stat.st_size, path))
        left = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if left <= self._max_bytes:
                break
            if path.stem not in keep:
                path.unlink(missing_ok=True)
                with self._lock:
                    self._checked.pop(path.stem, None)
                left -= size

    def _check(self, path: Path, sha256: str) -> Archive:
        archive = open_archive(path, sha256=sha256)
        with self._lock:
            self._checked[sha256] = archive
        return archive

    def _path(self, sha256: str) -> Path:
        return self._directory / f"{sha256}.zip"
