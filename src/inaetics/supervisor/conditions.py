"""Asking the host what a unit's Condition…= and Assert…= want to know."""

from __future__ import annotations

import glob
import grp
import operator
import os
import platform
import pwd
import re
import socket
import stat
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from inaetics.errors import InvalidInput
from inaetics.units.conditions import Condition
from inaetics.units.values import size

_COMPARISONS: Mapping[str, Callable[[int, int], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}
_COMPARED = re.compile(r"(<=|>=|!=|<|>|=)?\s*(\S+)")
_ARCHITECTURES = {"x86_64": "x86-64", "aarch64": "arm64", "i686": "x86", "i386": "x86", "armv7l": "arm"}
_FIRST_ORDINARY_USER = 1000


def unmet(conditions: tuple[Condition, ...], *, host_name: str, environment: Mapping[str, str]) -> Condition | None:
    """Return the first condition that keeps the unit from being started, or None.

    All plain ones must hold, and of those marked as alternatives at least one; conditions and assertions are judged
    apart, assertions first. Raises `InvalidInput` for a parameter that makes no sense.
    """
    for family in (True, False):
        mine = [each for each in conditions if each.is_assertion is family]
        for each in mine:
            if not each.alternative and not _holds(each, host_name, environment):
                return each
        alternatives = [each for each in mine if each.alternative]
        if alternatives and not any(_holds(each, host_name, environment) for each in alternatives):
            return alternatives[0]
    return None


def _holds(condition: Condition, host_name: str, environment: Mapping[str, str]) -> bool:
    parameter = condition.parameter
    match condition.kind:
        case "Host":
            names = (host_name, socket.gethostname())
            answer = any(fnmatchcase(name.lower(), parameter.lower()) for name in names if name)
        case "Environment":
            name, equals, value = parameter.partition("=")
            answer = environment.get(name) == value if equals else name in environment
        case _:
            answer = _ASK[condition.kind](parameter)
    return answer is not condition.negated


def _mode(path: str) -> int:
    try:
        return os.stat(path).st_mode
    except OSError:
        return 0


def _path_is_read_write(path: str) -> bool:
    try:
        return not os.statvfs(path).f_flag & os.ST_RDONLY
    except OSError:
        return False


def _directory_not_empty(path: str) -> bool:
    try:
        return next(os.scandir(path), None) is not None
    except OSError:
        return False


def _file_not_empty(path: str) -> bool:
    return stat.S_ISREG(_mode(path)) and os.stat(path).st_size > 0


def _file_is_executable(path: str) -> bool:
    mode = _mode(path)
    return stat.S_ISREG(mode) and bool(mode & 0o111)


def _architecture(name: str) -> bool:
    machine = platform.machine()
    return name == "native" or name == _ARCHITECTURES.get(machine, machine)


def _kernel_command_line(wanted: str) -> bool:
    words = Path("/proc/cmdline").read_text().split()
    return any(word == wanted or ("=" not in wanted and word.partition("=")[0] == wanted) for word in words)


def _compared(have: int, text: str) -> bool:
    match = _COMPARED.fullmatch(text)
    if match is None:
        raise InvalidInput(f"{text!r} compares with nothing (write >=2)")
    wanted = size(match[2])
    return wanted is not None and _COMPARISONS[match[1] or ">="](have, wanted)


def _memory(text: str) -> bool:
    return _compared(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), text)


def _cpus(text: str) -> bool:
    return _compared(len(os.sched_getaffinity(0)), text)


def _user(name: str) -> bool:
    if name == "@system":
        return os.getuid() < _FIRST_ORDINARY_USER
    try:
        return os.getuid() == (int(name) if name.isdigit() else pwd.getpwnam(name).pw_uid)
    except KeyError:
        return False


def _group(name: str) -> bool:
    try:
        wanted = int(name) if name.isdigit() else grp.getgrnam(name).gr_gid
    except KeyError:
        return False
    return wanted in (os.getgid(), *os.getgroups())


_ASK: Mapping[str, Callable[[str], bool]] = {
    "PathExists": os.path.exists,
    "PathExistsGlob": lambda pattern: bool(glob.glob(pattern)),
    "PathIsDirectory": os.path.isdir,
    "PathIsSymbolicLink": os.path.islink,
    "PathIsMountPoint": os.path.ismount,
    "PathIsReadWrite": _path_is_read_write,
    "DirectoryNotEmpty": _directory_not_empty,
    "FileNotEmpty": _file_not_empty,
    "FileIsExecutable": _file_is_executable,
    "Architecture": _architecture,
    "KernelCommandLine": _kernel_command_line,
    "Memory": _memory,
    "CPUs": _cpus,
    "User": _user,
    "Group": _group,
}
