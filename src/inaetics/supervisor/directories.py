"""The directories that a unit asks for: made before its start, below places that each host has for itself."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from inaetics.errors import Conflict
from inaetics.supervisor.launch import Account
from inaetics.units.execution import Directory, DirectoryKind, Preserve

VARIABLES: Mapping[DirectoryKind, str] = {
    DirectoryKind.RUNTIME: "RUNTIME_DIRECTORY",
    DirectoryKind.STATE: "STATE_DIRECTORY",
    DirectoryKind.CACHE: "CACHE_DIRECTORY",
    DirectoryKind.LOGS: "LOGS_DIRECTORY",
    DirectoryKind.CONFIGURATION: "CONFIGURATION_DIRECTORY",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where a host has its directories: `lasting` outlives boots, `runtime` does not."""

    lasting: str
    runtime: str

    def of(self, directory: Directory) -> str:
        """Return the whole path of a directory."""
        return f"{self.root(directory.kind)}/{directory.path}"

    def root(self, kind: DirectoryKind) -> str:
        """Return the directory in which those of a kind are made."""
        return f"{self.runtime}/runtime" if kind is DirectoryKind.RUNTIME else f"{self.lasting}/{kind.lower()}"

    def variables(self, directories: Iterable[Directory]) -> dict[str, str]:
        """Return the variables that tell a unit where its directories are."""
        paths: dict[str, list[str]] = {}
        for directory in directories:
            paths.setdefault(VARIABLES[directory.kind], []).append(self.of(directory))
        return {name: ":".join(found) for name, found in paths.items()}

    def make(self, directories: Iterable[Directory], account: Account | None) -> None:
        """Make them. Raises OSError, and `Conflict` where something else is."""
        for directory in directories:
            path = self.of(directory)
            os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
            with suppress(FileExistsError):
                os.mkdir(path)
            os.chmod(path, directory.mode)
            if account is not None and directory.kind is not DirectoryKind.CONFIGURATION:
                _give(path, account)
            for link in directory.links:
                _link(path, f"{self.root(directory.kind)}/{link}")

    def remove(self, directories: Iterable[Directory], *, restarting: bool) -> None:
        """Remove what does not outlive the stop, or the restart."""
        for directory in directories:
            stays = directory.preserve is Preserve.YES or (restarting and directory.preserve is Preserve.RESTART)
            if directory.kind is DirectoryKind.RUNTIME and not stays:
                for link in directory.links:
                    with suppress(OSError):  # it went before, or something else is in its place
                        os.unlink(f"{self.root(directory.kind)}/{link}")
                shutil.rmtree(self.of(directory), ignore_errors=True)


def _give(path: str, account: Account) -> None:
    """Make the account own a directory, and all in it when it did not before."""
    seen = os.stat(path)
    if (seen.st_uid, seen.st_gid) == (account.uid, account.gid):
        return
    for top, below, files in os.walk(path):
        for name in (*below, *files):
            os.lchown(os.path.join(top, name), account.uid, account.gid)
    os.chown(path, account.uid, account.gid)


def _link(target: str, path: str) -> None:
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    if os.path.islink(path):
        if os.readlink(path) == target:
            return
        os.unlink(path)
    elif os.path.lexists(path):
        raise Conflict(f"cannot make the link {path}: something else is there")
    os.symlink(target, path)
