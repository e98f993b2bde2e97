"""Entering a host: its environment, with its own programs in front. On a local host that is all there is to enter."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import NoReturn

from inaetics.errors import Unavailable
from inaetics.hosts.cluster import command, load
from inaetics.hosts.environment import as_operator, read
from inaetics.hosts.paths import SHELL, SUPERVISED, ClusterPaths, HostPaths
from inaetics.hosts.processes import alive, processes


def shell_environment(host: HostPaths, cluster: ClusterPaths, outside: Mapping[str, str]) -> dict[str, str]:
    """The environment of a shell on `host`, over the caller's own.

    Its programs come with the operator's certificate, because that is who the person is; the host's own units, whose
    environment is otherwise the same, have their host's, which may only read.
    `debian_chroot` is what Debian's and Ubuntu's prompts show in brackets.
    """
    inside = read(host.environment)
    environment = {**outside, **inside, SHELL: host.marker, "debian_chroot": host.name}
    environment |= as_operator(cluster)
    environment["PATH"] = f"{host.bin}:{inside['PATH']}"
    environment.pop(SUPERVISED, None)
    return environment


def enter(paths: ClusterPaths, name: str, words: Sequence[str]) -> NoReturn:
    """Become a shell, or the command `words`, on the host; the exit status is the command's own.

    One word is given to a shell, as ssh does it; several are a program and its arguments. Raises `Unavailable` for a
    host that is off.
    """
    host = paths.host(load(paths).host(name).name)
    if not alive(host, processes()):
        raise Unavailable(f"{name} is off (switch it on: {command(paths.name, f'up {name}')})")
    environment = shell_environment(host, paths, os.environ)
    if not words:
        line = [environment.get("SHELL") or "/bin/sh", "-i"]
    elif len(words) == 1:
        line = ["/bin/sh", "-c", words[0]]
    else:
        line = ["/bin/sh", "-c", 'exec "$@"', words[0], *words]
    os.execve(line[0], line, environment)
