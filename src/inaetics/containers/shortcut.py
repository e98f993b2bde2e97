"""A short name for a long directory: podman refuses run directories of more than 50 characters."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

LONGEST = 50
"""Characters of a run directory that podman accepts ("the specified runroot is longer than 50 characters")."""


def short(directory: Path) -> Path:
    """`directory` itself when it is short enough, else a link to it in a place that a reboot clears. Idempotent."""
    if len(str(directory)) <= LONGEST:
        return directory
    link = next(place for place in _links(directory) if len(str(place)) <= LONGEST)
    if not (link.is_symlink() and link.lstat().st_uid == os.getuid() and link.readlink() == directory):
        link.unlink(missing_ok=True)
        link.symlink_to(directory)
    return link


def forget(directory: Path) -> None:
    """Remove what `short` made for `directory`."""
    for link in _links(directory):
        if link.is_symlink() and link.readlink() == directory:
            link.unlink()


def _links(directory: Path) -> Iterator[Path]:
    name = f"inaetics-{hashlib.sha256(str(directory).encode()).hexdigest()[:12]}"
    if os.getuid() == 0:
        yield Path("/run") / name
    elif runtime := os.environ.get("XDG_RUNTIME_DIR"):
        yield Path(runtime) / name
    yield Path(tempfile.gettempdir()) / name
    yield Path("/tmp") / name
