"""Running the programs of this room (podman, mmdebstrap, pip): one place where their failures become our errors."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from inaetics.errors import CommandFailed, NotFound

_SHOWN_LINES = 6

_HINTS = (
    ("no space left on device", "the disk is full: free some space and try again"),
    ("disk quota exceeded", "the disk quota is used up: free some space and try again"),
    ("newuidmap", "running containers without root needs the Debian package uidmap"),
    ("slirp4netns", "publishing ports without root needs the Debian package slirp4netns"),
    ("x509:", "the certificates do not fit: is the registry the one of this cluster?"),
)


def program_path(name: str) -> str | None:
    """The absolute path of the program `name`, or None; system directories count although users' PATHs lack them."""
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"]))


def find_program(name: str, *, package: str) -> str:
    """The absolute path of the program `name`; raises `NotFound` naming the Debian package that brings it."""
    if path := program_path(name):
        return path
    raise NotFound(f"the program {name!r} is not installed (Debian package {package}; `make demo` installs it)")


def run(
    argv: Sequence[str | Path],
    *,
    doing: str,
    timeout_s: float,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    cwd: Path | None = None,
) -> str:
    """Run a program to its end and return what it wrote to standard output.

    `doing` completes "cannot …" in the error. `env` is added to the environment of this process.
    Raises `CommandFailed` with the program's own words when it fails or takes longer than `timeout_s`.
    """
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            input=stdin,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        said = _text(error.stderr) or _text(error.stdout)
        raise CommandFailed(
            f"cannot {doing}: {_name(words)} did not end within {timeout_s:g} s{_quoted(said)}",
            status=-9,
            output=said,
        ) from error
    except OSError as error:
        raise CommandFailed(f"cannot {doing}: {error}", status=127, output=str(error)) from error
    if done.returncode != 0:
        said = _text(done.stderr) or _text(done.stdout)
        raise _failed(_name(words), doing=doing, status=done.returncode, said=said)
    return _text(done.stdout)


@contextmanager
def files_for(doing: str) -> Iterator[None]:
    """Translate what the file system refuses (a full disk, missing rights) while we `doing`."""
    try:
        yield
    except OSError as error:
        hint = _hint(str(error))
        raise CommandFailed(f"cannot {doing}: {error}{hint}", status=error.errno or 1, output=str(error)) from error


def _failed(program: str, *, doing: str, status: int, said: str) -> CommandFailed:
    how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
    message = f"cannot {doing}: {program} {how}{_hint(said)}{_quoted(said)}"
    return CommandFailed(message, status=status, output=said)


def _name(words: Sequence[str]) -> str:
    """What people call the program: `env NAME=value podman …` is podman."""
    programs = (Path(word).name for word in words if "=" not in word)
    return next((name for name in programs if name != "env"), words[0])


def _hint(said: str) -> str:
    return next((f" ({help_})" for sign, help_ in _HINTS if sign in said.lower()), "")


def _quoted(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return ":\n  " + "\n  ".join(lines[-_SHOWN_LINES:]) if lines else ""


def _text(data: bytes | None) -> str:
    return (data or b"").decode(errors="replace").strip()
