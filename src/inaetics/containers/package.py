"""The layer with this project's own package: what changes with every change of our code, so it has to be small.

It holds the rooms that run in containers and the modules of others that these import. What only hosts need (fleet, API,
supervisor, command line) stays out: a change there is no new image.
"""

from __future__ import annotations

import ast
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from inaetics.containers.base import Base, compile_modules, unpacked
from inaetics.containers.native import compile_all
from inaetics.containers.tarball import write_tar
from inaetics.errors import InvalidInput

INSIDE = "/opt/inaetics/package"
"""Where the package is in an image."""


ROOMS = ("node", "provisioning", "demonstrator", "look")
"""The rooms that run in containers; `look` is what their pages share with those of hosts."""

_OURS = "inaetics."


def package_files(package: Path) -> list[Path]:
    """The files of our package that an image holds, sorted: modules and data, nothing compiled, nothing linked."""
    top = (path for path in package.iterdir() if path.is_file() and not path.name.startswith("."))
    wanted = [*top, *(path for room in ROOMS if (package / room).is_dir() for path in _files(package / room))]
    found: set[Path] = set()
    while wanted:
        path = wanted.pop()
        if path not in found:
            found.add(path)
            wanted += _imported(path, package)
    return sorted(found)


def _files(tree: Path) -> list[Path]:
    found: list[Path] = []
    for directory, subdirectories, names in os.walk(tree):
        subdirectories[:] = sorted(name for name in subdirectories if name != "__pycache__")
        found += [Path(directory) / name for name in sorted(names) if not name.startswith(".")]
    return found


def _imported(path: Path, package: Path) -> list[Path]:
    """The files that a module's imports of ours mean, wherever in it they stand."""
    if path.suffix != ".py":
        return []
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError as error:
        raise InvalidInput(f"cannot build images with {path}: line {error.lineno}: {error.msg}") from error
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return [file for name in names if name.startswith(_OURS) for file in _meant(name.removeprefix(_OURS), package)]


def _meant(module: str, package: Path) -> list[Path]:
    """The file of a module and those of the packages around it; nothing when the name is not a module's."""
    parts = module.split(".")
    around = [package.joinpath(*parts[:depth], "__init__.py") for depth in range(1, len(parts) + 1)]
    return [path for path in (*around, package.joinpath(*parts).with_suffix(".py")) if path.is_file()]


def write_package(archive: Path, package: Path, files: Sequence[Path], base: Base, workplace: Path) -> None:
    """Write the layer: `files` of the folder `package`, C compiled and modules with the base's Python.

    `workplace` is empty.
    """
    inside = workplace / INSIDE.lstrip("/") / "inaetics"
    for module in files:
        copy = inside / module.relative_to(package)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(module, copy)
    compile_all(inside)
    with unpacked(base.archive) as root:
        compile_modules(root, inside, inside=f"{INSIDE}/inaetics")
    write_tar(archive, workplace)
