"""Specifiers: what `%i` and its like stand for.

A part of systemd's, with its meanings. The others are errors rather than text left as it is: a unit that works here
must mean the same under systemd.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from inaetics.errors import UnitFileError
from inaetics.units.names import Name

MEANINGS: Mapping[str, str] = {
    "%n": "the unit's full name: `felix@1.service`",
    "%N": "the name without its type: `felix@1`",
    "%p": "the prefix, before the `@`: `felix`; the same as `%N` where there is no instance",
    "%P": "the prefix, unescaped",
    "%i": "the instance, between `@` and type: `1`; empty where there is none",
    "%I": "the instance, unescaped",
    "%j": "the prefix from its last `-` on: `agent` of `felix-agent`",
    "%J": "the same, unescaped",
    "%f": "the unescaped instance, or else the prefix, as a path: `/srv/data` of `backup@srv-data`",
    "%m": "the id of the machine the unit runs on, 32 hexadecimal digits",
    "%H": "the name of the host the unit runs on",
    "%l": "the same up to its first dot",
    "%b": "the id of the machine's present boot, 32 hexadecimal digits",
    "%v": "the release of the machine's kernel",
    "%t": "the directory in which `RuntimeDirectory=` makes its own",
    "%S": "the directory in which `StateDirectory=` makes its own",
    "%C": "the directory in which `CacheDirectory=` makes its own",
    "%L": "the directory in which `LogsDirectory=` makes its own",
    "%E": "the directory in which `ConfigurationDirectory=` makes its own",
    "%T": "the directory for temporary files: `/tmp`, or `TMPDIR` of the host",
    "%V": "the one for larger ones: `/var/tmp`, or `TMPDIR` of the host",
    "%u": "the name of the user who runs the supervisor, whatever `User=` says",
    "%U": "that user's number",
    "%g": "that user's group",
    "%G": "the number of that group",
    "%h": "that user's home",
    "%s": "that user's shell",
    "%%": "a percent sign",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What specifiers tell of the host that runs a unit, and of its supervisor; None: not known where this is read."""

    machine_id: str | None = None
    name: str | None = None
    boot_id: str | None = None
    kernel: str | None = None
    runtime: str | None = None
    state: str | None = None
    cache: str | None = None
    logs: str | None = None
    configuration: str | None = None
    temporary: str | None = None
    large_temporary: str | None = None
    user: str | None = None
    uid: str | None = None
    group: str | None = None
    gid: str | None = None
    home: str | None = None
    shell: str | None = None


NOWHERE = Host()
"""Where no machine is chosen yet."""

ANYWHERE = Host(
    machine_id="0" * 32,
    name="host",
    boot_id="0" * 32,
    kernel="6",
    runtime="/run",
    state="/var/lib",
    cache="/var/cache",
    logs="/var/log",
    configuration="/etc",
    temporary="/tmp",
    large_temporary="/var/tmp",
    user="root",
    uid="0",
    group="root",
    gid="0",
    home="/root",
    shell="/bin/sh",
)
"""Stands for the host when a file is checked that may run on any."""

_SPECIFIER = re.compile(r"%(.?)", re.DOTALL)
_ESCAPED = re.compile(rb"\\(x[0-9a-fA-F]{2})?|-")


def expand(text: str, *, name: Name, host: Host = ANYWHERE) -> str:
    """Replace the specifiers in `text`. Raises `UnitFileError`, without a line, for one that is not known."""
    if "%" not in text:
        return text

    def replacement(match: re.Match[str]) -> str:
        letter = match.group(1)
        if of_name := _OF_THE_NAME.get(letter):
            return of_name(name)
        if of_host := _OF_THE_HOST.get(letter):
            if (known := of_host(host)) is None:
                raise UnitFileError(f"%{letter} is not known here: no machine is chosen yet")
            return known
        names = " ".join(MEANINGS)
        raise UnitFileError(f"unknown specifier '%{letter}' in {text!r} (known are: {names})")

    return _SPECIFIER.sub(replacement, text)


def expand_unplaced(text: str, *, name: Name) -> str:
    """As `expand`, where no machine is chosen yet: what only a host can tell is an error."""
    return expand(text, name=name, host=NOWHERE)


def escape(text: str) -> str:
    """Write `text` so that `expand` gives it back."""
    return text.replace("%", "%%")


def unescape(text: str) -> str:
    r"""Take back what systemd-escape(1) does: `-` is a slash, `\x2d` the byte it says. Raises `UnitFileError`."""

    def replacement(match: re.Match[bytes]) -> bytes:
        if match.group() == b"-":
            return b"/"
        if match.group(1) is None:
            raise UnitFileError(f"{text!r} cannot be unescaped: a backslash must begin \\xHH, as in \\x2d")
        return bytes.fromhex(match.group(1)[1:].decode())

    try:
        found = _ESCAPED.sub(replacement, text.encode()).decode()
    except UnicodeDecodeError as error:
        raise UnitFileError(f"{text!r} cannot be unescaped: what comes out is no UTF-8 text") from error
    if "\0" in found:
        raise UnitFileError(f"{text!r} cannot be unescaped: a NUL character comes out")
    return found


def _path(name: Name) -> str:
    escaped = name.instance if name.instance is not None else name.prefix
    if escaped == "-":
        return "/"
    found = unescape(escaped)
    if not all(part not in ("", ".", "..") for part in found.split("/")):
        raise UnitFileError(f"%f: {escaped!r} is no escaped path ({found!r} has an empty part, or a dot)")
    return f"/{found}"


def _last_part(name: Name) -> str:
    return name.prefix.rpartition("-")[2]


_OF_THE_NAME: Mapping[str, Callable[[Name], str]] = {
    "n": str,
    "N": lambda name: name.stem,
    "p": lambda name: name.prefix,
    "P": lambda name: unescape(name.prefix),
    "i": lambda name: name.instance or "",
    "I": lambda name: unescape(name.instance or ""),
    "j": _last_part,
    "J": lambda name: unescape(_last_part(name)),
    "f": _path,
    "%": lambda name: "%",
}

_OF_THE_HOST: Mapping[str, Callable[[Host], str | None]] = {
    "m": lambda host: host.machine_id,
    "H": lambda host: host.name,
    "l": lambda host: None if host.name is None else host.name.partition(".")[0],
    "b": lambda host: host.boot_id,
    "v": lambda host: host.kernel,
    "t": lambda host: host.runtime,
    "S": lambda host: host.state,
    "C": lambda host: host.cache,
    "L": lambda host: host.logs,
    "E": lambda host: host.configuration,
    "T": lambda host: host.temporary,
    "V": lambda host: host.large_temporary,
    "u": lambda host: host.user,
    "U": lambda host: host.uid,
    "g": lambda host: host.group,
    "G": lambda host: host.gid,
    "h": lambda host: host.home,
    "s": lambda host: host.shell,
}
