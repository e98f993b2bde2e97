"""Entering a host: its environment, with its own programs in front. On a local host that is all there is to enter."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from typing import NoReturn

from inaetics.errors import NotFound, Unavailable
from inaetics.hosts.cluster import command, load
from inaetics.hosts.environment import read
from inaetics.hosts.paths import SHELL, SUPERVISED, ClusterPaths, HostPaths
from inaetics.hosts.processes import alive, processes


def shell_environment(host: HostPaths, outside: Mapping[str, str]) -> dict[str, str]:
    """The environment of a shell on `host`, over the caller's own.

    `debian_chroot` is what Debian's and Ubuntu's prompts show in brackets.
    """
    inside = read(host.environment)
    environment = {**outside, **inside, SHELL: host.marker, "debian_chroot": host.name}
    environment["PATH"] = f"{host.bin}:{inside['PATH']}"
    environment.pop(SUPERVISED, None)
    return environment


def enter(paths: ClusterPaths, name: str, words: Sequence[str]) -> NoReturn:
    """Become a shell, or the command `words`, on the host; the exit status is the command's own.

    One word is given to a shell, as ssh does it; several are a program and its arguments. Raises `Unavailable` for a
    host that is off, `NotFound` for a program that is not there.
    """
    host = paths.host(load(paths).host(name).name)
    if not alive(host, processes()):
        raise Unavailable(f"{name} is off (switch it on: {command(paths.name, f'up {name}')})")
    environment = shell_environment(host, os.environ)
    if not words:
        words = [environment.get("SHELL") or "/bin/sh", "-i"]
    elif len(words) == 1:
        words = ["/bin/sh", "-c", words[0]]
    try:
        os.execvpe(words[0], list(words), environment)
    except FileNotFoundError:
        raise NotFound(f"{name} has no program {words[0]!r}") from None
    except OSError as error:
        raise NotFound(f"cannot run {shlex.join(words)} on {name}: {error.strerror}") from error
