"""The environment, account and program of a command, made anew at each start. Whatever is wrong raises here.

Later ones win: a few words of the supervisor's own environment, the host's environment file, the account's
(with User=), the unit's Environment=, its EnvironmentFile=, and last what we say ourselves.
"""

from __future__ import annotations

import grp
import os
import pwd
import shutil
from collections.abc import Mapping
from pathlib import Path

from inaetics.errors import InvalidInput, NotFound
from inaetics.supervisor.directories import Places
from inaetics.supervisor.host_facts import host_facts
from inaetics.supervisor.launch import Account
from inaetics.supervisor.procfs import MARKER
from inaetics.units.service_model import ServiceSpec, WorkingDirectory
from inaetics.units.specifiers import Host
from inaetics.units.values import environment_file

_PASSED_ON = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ", "TMPDIR", "XDG_RUNTIME_DIR")
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

SUPERVISED = "INAETICS_SUPERVISED"
"""Every process of a host carries this variable, with the value that the supervisor itself was given."""


class HostEnvironment:
    """What every unit of this host starts from: a few variables of ours, then those of `file`, read when it changes."""

    def __init__(self, file: Path | None, places: Places) -> None:
        """`places` are where units of this host find the directories they ask for."""
        self._places = places
        self._facts: tuple[Mapping[str, str], Host] | None = None
        self._file = str(file) if file is not None else None
        self._base = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        self._base.setdefault("PATH", _DEFAULT_PATH)
        self._seen: tuple[int, int, int] | None = None
        self._read: Mapping[str, str] = self._base

    def now(self) -> Mapping[str, str]:
        """Return it as the file says now. Raises `InvalidInput` when that cannot be read."""
        if self._file is None:
            return self._base
        try:
            status = os.stat(self._file)
        except OSError as error:
            raise InvalidInput(f"cannot read the host's environment file {self._file}: {error.strerror}") from error
        seen = (status.st_ino, status.st_mtime_ns, status.st_size)
        if seen != self._seen:
            self._read, self._seen = {**self._base, **_read(self._file)}, seen
        return self._read

    def facts(self) -> Host:
        """What specifiers stand for here, as the file says now. Raises `InvalidInput` when that cannot be read."""
        environment = self.now()
        if self._facts is None or self._facts[0] is not environment:
            self._facts = environment, host_facts(environment, self._places)
        return self._facts[1]

    def without_file(self) -> Host:
        """What specifiers stand for where the file cannot be read."""
        return host_facts(self._base, self._places)


def unit_environment(
    spec: ServiceSpec, host: Mapping[str, str], account: pwd.struct_passwd | None, own: Mapping[str, str]
) -> dict[str, str]:
    """Return the whole environment of a unit's command; `own` are the variables we set, which nothing overrides."""
    environment = dict(host)
    environment.update({name: os.environ[name] for name in spec.pass_environment if name in os.environ})
    if account is not None:
        environment.update(
            USER=account.pw_name, LOGNAME=account.pw_name, HOME=account.pw_dir, SHELL=account.pw_shell or "/bin/sh"
        )
    environment.update(spec.environment)
    for file in spec.environment_files:
        if not (file.optional and not os.path.exists(file.path)):
            environment.update(_read(file.path))
    if SUPERVISED in os.environ:
        environment[SUPERVISED] = os.environ[SUPERVISED]
    whole = {**environment, **own}
    for each in spec.unset_environment:
        name, equals, value = each.partition("=")
        if name not in (MARKER, SUPERVISED) and (not equals or whole.get(name) == value):
            whole.pop(name, None)
    return whole


def entry_of(user: str | None) -> pwd.struct_passwd | None:
    """Return the account database's entry for a name or number; None for None. Raises `NotFound`."""
    if user is None:
        return None
    try:
        return pwd.getpwuid(int(user)) if user.isdigit() else pwd.getpwnam(user)
    except KeyError as error:
        raise NotFound(f"User={user}: there is no such account on this host") from error


def account_of(entry: pwd.struct_passwd | None, group: str | None, more: tuple[str, ...] = ()) -> Account | None:
    """Return whom a process has to become, or None when that is who we are. Raises `NotFound`, `InvalidInput`."""
    if entry is None and group is None and not more:
        return None
    gid = _gid_of(group) if group is not None else entry.pw_gid if entry is not None else os.getgid()
    uid = entry.pw_uid if entry is not None else os.getuid()
    if (uid, gid) == (os.getuid(), os.getgid()) and not more:
        return None
    if os.getuid() != 0:
        wanted = entry.pw_name if entry is not None else group
        raise InvalidInput(f"cannot become {wanted}: the supervisor does not run as root (leave User= and Group= out)")
    name = entry.pw_name if entry is not None else "root"
    return Account(uid=uid, gid=gid, groups=(*os.getgrouplist(name, gid), *map(_gid_of, more)))


def directory_of(working: WorkingDirectory | None, environment: Mapping[str, str]) -> tuple[str, bool]:
    """Return where a process starts, and whether it may start in / instead."""
    if working is None:
        return "/", False
    path = environment.get("HOME", "/") if working.path == "~" else working.path
    return path, working.optional


def program_of(name: str, environment: Mapping[str, str]) -> str:
    """Return the absolute path of a program. Raises `NotFound` when PATH does not have it."""
    if name.startswith("/"):
        return name
    path = environment.get("PATH", _DEFAULT_PATH)
    found = shutil.which(name, path=path)
    if found is None:
        raise NotFound(f"cannot run {name!r}: no such program in PATH ({path})")
    return os.path.abspath(found)


def _gid_of(group: str) -> int:
    try:
        return int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
    except KeyError as error:
        raise NotFound(f"Group={group}: there is no such group on this host") from error


def _read(path: str) -> dict[str, str]:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"cannot read the environment file {path}: {error}") from error
    return environment_file(text, source=path)
