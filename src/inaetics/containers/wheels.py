"""The layer of Python packages in a node agent's image: exactly those of a lock file, for the base image's Python.

Installed without running anything of theirs (wheels only, hashes checked), trimmed of what no agent imports, compiled,
and cached under the digest of everything that went in.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

from inaetics.containers.base import Base, compile_modules, recipe_code, unpacked
from inaetics.containers.cache import cache_directory, check_space, scratch, used
from inaetics.containers.process import run
from inaetics.containers.tarball import write_tar
from inaetics.errors import NotFound

INSIDE = "/opt/inaetics/wheels"
"""Where the packages are in an image."""

_ROOM = 250_000_000
"""What the disk must have left: packages, the unpacked base, the archive."""

_INSTALL_S = 600.0

_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
_OLDEST_GLIBC, _NEWEST_GLIBC = 17, 36

_USELESS = (
    "bin",
    "cffi",  # cryptography needs only the module _cffi_backend of it, and the parser to write such modules not at all
    "cffi-*",
    "pycparser*",
    "*/tests",
    "*/test",
    "debugpy/_vendored/pydevd/pydevd_attach_to_process/winappdbg",
    "*.dist-info/RECORD",
    "*.dist-info/licenses",
    "google/protobuf/**/*.proto",
    "**/*.pyi",
    "**/*.pyx",
    "**/*.pxd",
    "**/*.c",
    "**/*.cpp",
    "**/*.h",
    "**/*.hpp",
    "**/*.dll",
    "**/*.dylib",
    "**/*.exe",
)


def wheels(lock: Path, base: Base, *, cache: Path | None = None) -> Path:
    """A tar whose `opt/inaetics/wheels` holds the packages of `lock` for the base's Python; from the cache if there.

    Raises `CommandFailed` with pip's own words (a package that cannot be had, a hash that differs).
    """
    recipe = [lock.read_bytes(), base.key, Path(__file__).read_bytes(), *recipe_code()]
    key = hashlib.sha256(repr(recipe).encode()).hexdigest()
    archive = (cache or cache_directory()) / f"wheels-{key[:16]}.tar"
    if not archive.exists():
        _make(lock, base, archive)
    return used(archive, "wheels-*.tar")


def _make(lock: Path, base: Base, archive: Path) -> None:
    check_space(archive.parent, _ROOM, doing=f"install the packages of {lock}")
    with scratch(archive.parent, "wheels") as place:
        tree = place / INSIDE.lstrip("/")
        _install(lock, base, tree)
        for pattern in _USELESS:
            for path in sorted(tree.glob(pattern)):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        with unpacked(base.archive) as root:
            compile_modules(root, tree, inside=INSIDE)
        write_tar(archive, place)


def _install(lock: Path, base: Base, tree: Path) -> None:
    python = base.python.replace(".", "")
    command: list[str | Path] = [
        sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-compile",
        "--require-hashes", "--only-binary=:all:", "--target", tree, "--python-version", base.python,
        "--implementation", "cp", "--abi", f"cp{python}", "--abi", "abi3", "--abi", "none",
        *(f"--platform={platform}" for platform in _platforms(base.architecture)), "-r", lock,
    ]  # fmt: skip
    run(command, doing=f"install the packages of {lock}", timeout_s=_INSTALL_S)


def _platforms(architecture: str) -> list[str]:
    """The wheels' platforms that a distribution of today can run, newest first."""
    machine = _MACHINES.get(architecture)
    if machine is None:
        raise NotFound(f"no binary packages are known for the architecture {architecture!r} (known: {list(_MACHINES)})")
    newest_first = range(_NEWEST_GLIBC, _OLDEST_GLIBC - 1, -1)
    return [*(f"manylinux_2_{minor}_{machine}" for minor in newest_first), f"manylinux2014_{machine}", "any"]
