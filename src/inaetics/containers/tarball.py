"""Tar archives that depend on nothing but their content: the same files give the same bytes, on any day, by anybody.

That is what keeps layers shared: an image built again from the same input has the same layers.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
from collections.abc import Iterable
from pathlib import Path

EPOCH = 1_577_836_800
"""The time of every file in a layer: the first second of 2020. Archives of zip cannot express times before 1980."""


def write_tar(archive: Path, tree: Path) -> str:
    """Write every file, directory and symbolic link below `tree`, as root's, sorted, with plain modes.

    Returns the archive's SHA-256 digest. The archive appears whole or not at all.
    """
    partial = archive.with_name(f".{archive.name}.{os.getpid()}")
    with tarfile.open(partial, "w", format=tarfile.GNU_FORMAT) as tar:
        for path in sorted(tree.rglob("*")):
            if path.is_symlink() or path.is_dir() or path.is_file():
                _add(tar, path, str(path.relative_to(tree)))
    with partial.open("rb") as written:
        digest = hashlib.file_digest(written, "sha256").hexdigest()
    partial.replace(archive)
    return digest


def content_hash(paths: Iterable[Path], *, relative_to: Path) -> str:
    """A digest of names and content of the files given, and of nothing else."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(relative_to)}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    entry = tar.gettarinfo(str(path), name)
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = EPOCH
    if entry.islnk():
        entry.type, entry.linkname, entry.size = tarfile.REGTYPE, "", path.stat().st_size
    if entry.isreg():
        entry.mode = 0o755 if entry.mode & 0o100 else 0o644
        with path.open("rb") as content:
            tar.addfile(entry, content)
        return
    if entry.issym():
        entry.mode = 0o777
    else:
        entry.mode = 0o1777 if entry.mode & stat.S_ISVTX else 0o755
    tar.addfile(entry)
