"""The folder that an image is built from: copied with plain modes, and looked at before the engine reads it.

Modes depend on who checked a folder out and with which umask; copied into an image they would make its digest differ.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from pathlib import Path

from inaetics.containers.process import files_for
from inaetics.errors import InvalidInput, NotFound

RECIPES = ("Containerfile", "Dockerfile")
"""What the recipe of a folder may be called; the first that is there is taken."""


def recipe_of(context: Path) -> Path:
    """The recipe in a folder; raises `NotFound` without the folder, `InvalidInput` without a recipe in it."""
    if not context.is_dir():
        raise NotFound(f"there is no folder {context} to build an image from")
    for name in RECIPES:
        if (context / name).is_file():
            return context / name
    raise InvalidInput(
        f"cannot build an image from {context}: it holds no Containerfile (write one; its first line may be"
        " 'FROM localhost/inaetics/node')"
    )


def bases_of(recipe: Path) -> tuple[str, ...]:
    """The images that a recipe starts from and copies from, in order, each once; not its own stages."""
    text = re.sub(r"\\\n", " ", recipe.read_text())
    stages: set[str] = set()
    found: list[str] = []
    for line in text.splitlines():
        if match := re.match(r"\s*FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?\s*$", line, re.IGNORECASE):
            found.append(match[1])
            stages |= {match[2]} if match[2] else set()
        elif match := re.match(r"\s*COPY\s+(?:--\S+\s+)*?--from=(\S+)\s", line, re.IGNORECASE):
            found.append(match[1])
    if not any(re.match(r"\s*FROM\s", line, re.IGNORECASE) for line in text.splitlines()):
        raise InvalidInput(f"cannot build an image from {recipe}: it has no FROM line to start from")
    known = [name for name in found if name not in stages and name != "scratch" and "$" not in name]
    return tuple(name for name in dict.fromkeys(known) if not name.isdigit())


def full_name(reference: str) -> str:
    """An image's whole name in the build store: `inaetics/node` is `localhost/inaetics/node:latest`."""
    first, slash, _ = reference.partition("/")
    is_host = bool(slash) and ("." in first or ":" in first or first == "localhost")
    named = reference if is_host else f"localhost/{reference}"
    return named if re.search(r"[:@][^/]*$", named) else f"{named}:latest"


def copy_context(source: Path, target: Path) -> None:
    """Copy a folder with plain modes; links stay links, and what has such a mode already is not copied but linked.

    Raises `InvalidInput` for what is neither a file, a folder nor a link, such as a socket.
    """
    with files_for(f"copy {source}"):
        target.mkdir(parents=True, exist_ok=True)
        target.chmod(0o755)
        for entry in sorted(os.scandir(source), key=lambda each: each.name):
            _copy(Path(entry.path), target / entry.name)


def _copy(path: Path, copy: Path) -> None:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        copy.symlink_to(path.readlink())
    elif stat.S_ISDIR(mode):
        copy_context(path, copy)
    elif stat.S_ISREG(mode):
        _copy_file(path, copy, mode)
    else:
        raise InvalidInput(f"cannot build an image with {path} in its folder: it is no file, no folder and no link")


def _copy_file(path: Path, copy: Path, mode: int) -> None:
    plain = 0o755 if mode & stat.S_IXUSR else 0o644
    if stat.S_IMODE(mode) == plain:
        link(path, copy)
        return
    shutil.copyfile(path, copy)
    copy.chmod(plain)


def link(source: Path, target: Path) -> None:
    """The same file under a second name; a copy where the file system cannot."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)
