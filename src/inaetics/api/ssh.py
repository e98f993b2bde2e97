"""How the system's ssh is called, and what its words mean.

What ~/.ssh/config says counts, but for what would break a way that programs speak over: a terminal, a command or
forwardings of its own, a session that other sessions share. Without somebody at a terminal nothing is asked, and a
machine that falls silent is noticed.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from inaetics.errors import Forbidden, InaeticsError, InvalidInput, Unavailable

CONNECT_S = 10.0
"""How long ssh may take to connect, unless told otherwise; as the original's."""

_FIXED = (
    "ClearAllForwardings=yes",
    "ControlMaster=no",  # one that is open is used; ours ends with its connection, so nobody may depend on it
    "ForwardAgent=no",
    "ForwardX11=no",
    "PermitLocalCommand=no",
    "RemoteCommand=none",
    "ServerAliveInterval=10",
    "ServerAliveCountMax=3",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SshOptions:
    """What a person said of ssh; None: as its configuration has it."""

    user: str | None = None
    timeout_s: float | None = None
    known_hosts: Path | None = None
    strict: bool | None = None

    def words(self) -> list[str]:
        """As ssh takes them."""
        words = [] if self.user is None else ["-l", self.user]
        if self.timeout_s is not None:
            words += ["-o", f"ConnectTimeout={ceil(self.timeout_s)}"]
        if self.known_hosts is not None:
            words += ["-o", f"UserKnownHostsFile={_quoted(str(self.known_hosts.expanduser()))}"]
        if self.strict is not None:
            words += ["-o", f"StrictHostKeyChecking={'yes' if self.strict else 'no'}"]
        return words


@dataclass(frozen=True, slots=True, kw_only=True)
class SshHost:
    """A machine elsewhere, and how to log in there. `asking`: somebody sits at a terminal and may be asked."""

    name: str
    port: int | None = None
    options: SshOptions = SshOptions()
    asking: bool = False

    @property
    def typed(self) -> str:
        """Where to, as people type it behind `ssh`."""
        port = "" if self.port is None else f"-p {self.port} "
        user = "" if self.options.user is None else f"{self.options.user}@"
        return f"{port}{user}{self.name}"

    @property
    def timeout_s(self) -> float:
        """How long ssh may take to connect."""
        return CONNECT_S if self.options.timeout_s is None else self.options.timeout_s

    def command(self, *command: str) -> list[str]:
        """ssh running `command` there, without a terminal."""
        return [*self._login(), "-T", self.name, *command]

    def forwarding(self, to: str) -> list[str]:
        """ssh with its input and output forwarded to `to`, HOST:PORT as seen from there; no shell is needed."""
        return [*self._login(), "-W", to, self.name]

    def terminal(self, *command: str, tty: bool) -> list[str]:
        """ssh for a person, with a terminal there if `tty`."""
        return [*self._login(), "-t" if tty else "-T", self.name, *command]

    def proxy(self) -> list[str]:
        """The options by which another ssh goes through this machine."""
        words = [_no_tokens(word) for word in [*self._login(), "-W"]]
        return ["-o", f"ProxyCommand={shlex.join(words)} [%h]:%p {shlex.quote(_no_tokens(self.name))}"]

    def _login(self) -> list[str]:
        words = ["ssh", *self.options.words()]
        if self.options.timeout_s is None:
            words += ["-o", f"ConnectTimeout={ceil(CONNECT_S)}"]
        if self.port is not None:
            words += ["-p", str(self.port)]
        fixed = _FIXED if self.asking else (*_FIXED, "BatchMode=yes")
        return [*words, *(word for each in fixed for word in ("-o", each))]


def host_of(text: str, options: SshOptions, *, asking: bool) -> SshHost:
    """Read `[USER@]HOST[:PORT]`; raises `InvalidInput`."""
    user, at, place = text.removeprefix("ssh://").removesuffix("/").rpartition("@")
    port: str | None = None
    if match := re.fullmatch(r"\[([^]]*)\](?::(.*))?", place):
        place, port = match[1], match[2]
    elif place.count(":") == 1:
        place, _, port = place.partition(":")
    if not place or place.startswith("-") or re.search(r"[\s/\\\"'`$;&|<>()\x00-\x1f]", place):
        raise InvalidInput(f"tunnel {text!r} names no host: write [USER@]HOST[:PORT], or a Host of ~/.ssh/config")
    if port is not None and not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        raise InvalidInput(f"tunnel {text!r}: {port!r} is no port")
    if at:
        options = _as_user(text, user, options)
    return SshHost(name=place, port=int(port) if port else None, options=options, asking=asking)


def _as_user(text: str, user: str, options: SshOptions) -> SshOptions:
    if not user or user.startswith("-") or re.search(r"[\s\x00-\x1f]", user):
        raise InvalidInput(f"tunnel {text!r} names nobody: write USER@HOST")
    if options.user not in (None, user):
        raise InvalidInput(f"the tunnel is {text!r} and --ssh-username {options.user}: give one name")
    return SshOptions(user=user, timeout_s=options.timeout_s, known_hosts=options.known_hosts, strict=options.strict)


def trouble(host: SshHost, words: str, status: int | None) -> InaeticsError:
    """What kept ssh from getting there: from its own words and its exit status (None: it still runs)."""
    lines = [line.strip() for line in words.splitlines() if line.strip(" @\r\t")]
    said = "; ".join(lines[-2:])[:400] or _silent(status)
    what = f"cannot reach the fleet through {host.name}: ssh: {said.removeprefix('ssh: ')}"
    for sign, kind, help in _KNOWN:
        if sign in words:
            return kind(f"{what} ({help.format(host=host.name, typed=host.typed)})")
    if status == 127:
        return Unavailable(f"{what} ({_PYTHON})")
    return Unavailable(f"{what} (does 'ssh {host.typed}' work?)")


def _silent(status: int | None) -> str:
    if status is None:
        return "no answer in time"
    return f"it was ended by signal {-status}" if status < 0 else f"it ended with exit code {status}, without a word"


UNREACHED = "open failed: connect failed"
"""ssh's words when it is over there, and what it was to connect to from there does not answer."""

_PYTHON = (
    "that machine has no python3 for programs that log in, or no shell for this user:"
    " name an API it reaches, --endpoint https://ADDRESS, with certificates here"
)

_KNOWN: tuple[tuple[str, type[InaeticsError], str], ...] = (
    ("Could not resolve hostname", Unavailable, "a name of the network's, or a Host of ~/.ssh/config, is needed"),
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        Forbidden,
        "another machine answers, or it was set up anew: if you know that it was, ssh-keygen -R forgets its old key",
    ),
    (
        "Host key verification failed",
        Forbidden,
        "its key is not known here: look at it and accept it once with 'ssh {typed}', or give --known-hosts-file FILE",
    ),
    (
        "Permission denied",
        Forbidden,
        "it takes none of the keys that ssh offers: which are there, ssh-add -l; as whom, --ssh-username;"
        " bring one there, ssh-copy-id {typed}",
    ),
    (UNREACHED, Unavailable, "the endpoint is meant as {host} sees it"),
    ("administratively prohibited", Forbidden, "its sshd does not forward: AllowTcpForwarding, or the key's options"),
    ("Connection refused", Unavailable, "does sshd run there, on this port? --tunnel HOST:PORT"),
    ("python3: not found", Unavailable, _PYTHON),
    ("python3: command not found", Unavailable, _PYTHON),
    ("currently not available", Unavailable, _PYTHON),
)
"""What ssh says, which error it is, and what helps; the first that fits."""


def _quoted(value: str) -> str:
    """A value of ssh's configuration: blanks separate, and `%` begins a token."""
    value = _no_tokens(value)
    return f'"{value}"' if re.search(r"\s", value) else value


def _no_tokens(word: str) -> str:
    return word.replace("%", "%%")
