"""What of the Debian packages a node agent needs: a Python that can do asyncio, TLS, SQLite and HTTP, and a shell.

Deleting is by rule, not by list of files, so that another release's packages are trimmed too. Libraries are found out:
those that no kept program or extension module asks for go.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from inaetics.containers.process import run
from inaetics.errors import CommandFailed

_KEPT_TOP = ("bin", "etc", "lib", "lib64", "opt", "run", "tmp", "usr", "var")

_KEPT_PROGRAMS = re.compile(r"^(busybox|python3(\.\d+)?)$")

_USELESS_MODULES = (
    "config-*",
    "ensurepip",
    "idlelib",
    "lib2to3",
    "pydoc_data",
    "test",
    "tkinter",
    "turtledemo",
    "turtle.py",
    "sitecustomize.py",
    "LICENSE.txt",
    "lib-dynload/_codecs_*",
    "lib-dynload/_ctypes_test*",
    "lib-dynload/_curses*",
    "lib-dynload/*dbm*",
    "lib-dynload/_test*",
    "lib-dynload/_xx*",
    "lib-dynload/nis*",
    "lib-dynload/ossaudiodev*",
    "lib-dynload/readline*",
    "lib-dynload/xx*",
)

_WHEELS_NEED = re.compile(r"^lib(stdc\+\+|gcc_s|m|pthread|rt|dl|util|resolv|anl)\.so")
"""Libraries that binary wheels link to although nothing in the base does; manylinux promises them to be there."""

_LIST_S = 20.0


def trim(root: Path, python: Path) -> None:
    """Delete from the unpacked packages below `root` all that `python` (in it) and its users do not need."""
    _keep_only(root, lambda path: path.name in _KEPT_TOP)
    for programs in ("bin", "usr/bin"):
        _keep_only(root / programs, lambda path: bool(_KEPT_PROGRAMS.match(path.name)))
    _keep_only(root / "usr", lambda path: path.name in ("bin", "lib", "lib64", "share"))
    _keep_only(root / "usr/share", lambda path: path.name == "ca-certificates")
    _keep_only(root / "etc", lambda path: False)
    _keep_only(root / "var", lambda path: False)
    standard_library = root / "usr/lib" / python.name
    for pattern in _USELESS_MODULES:
        for path in standard_library.glob(pattern):
            _delete(path)
    _keep_only(root / "usr/lib", lambda path: path == standard_library or _holds_libraries(path))
    _keep_only(root / "lib", lambda path: _holds_libraries(path) or path.name.startswith("ld-linux"))
    _trim_libraries(root, [python, *standard_library.glob("lib-dynload/*.so")])


def loader(root: Path) -> Path:
    """The dynamic loader below `root`: with it the programs there run without being inside."""
    for pattern in ("lib64/ld-linux*.so.*", "lib/*/ld-linux*.so.*", "usr/lib/*/ld-linux*.so.*", "lib/ld-linux*.so.*"):
        for path in sorted(root.glob(pattern)):
            inside = Path(str(path.readlink()).lstrip("/")) if path.is_symlink() else path.relative_to(root)
            candidate = root / inside if path.is_symlink() and path.readlink().is_absolute() else path
            if candidate.exists():
                return candidate
    raise CommandFailed(f"cannot find the dynamic loader below {root}", status=1, output="")


def library_path(root: Path) -> str:
    """Where the loader finds the libraries below `root`."""
    return ":".join(str(directory) for directory in _library_directories(root))


def _trim_libraries(root: Path, programs: list[Path]) -> None:
    needed = {loader(root).name}
    wanted = [path for path in _libraries(root) if _WHEELS_NEED.match(path.name)]
    for program in [*programs, *wanted]:
        needed |= _libraries_of(program, root)
    needed |= {path.name for path in wanted}
    needed |= {path.resolve().name for path in _libraries(root) if path.name in needed}
    for path in _libraries(root):
        if path.name not in needed:
            _delete(path)


def _libraries_of(program: Path, root: Path) -> set[str]:
    """The names of the shared libraries that `program` loads, as the loader itself says."""
    listed = run(
        [loader(root), "--library-path", library_path(root), "--list", program],
        doing=f"list the libraries of {program}",
        timeout_s=_LIST_S,
    )
    return set(re.findall(r"^\s*(?:\S*/)?([^\s/]+) ", listed, flags=re.MULTILINE))


def _library_directories(root: Path) -> list[Path]:
    return [path for base in ("lib", "usr/lib") for path in sorted((root / base).glob("*-linux-gnu*")) if path.is_dir()]


def _libraries(root: Path) -> Iterator[Path]:
    for directory in _library_directories(root):
        yield from sorted(directory.iterdir())


def _holds_libraries(path: Path) -> bool:
    return path.name.endswith(("-linux-gnu", "-linux-gnueabihf"))


def _keep_only(directory: Path, wanted: Callable[[Path], bool]) -> None:
    if not directory.is_dir() or directory.is_symlink():
        return
    for path in directory.iterdir():
        if not wanted(path):
            _delete(path)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
