"""What the commands take alike: hosts by name, completed by Tab."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def hosts_argument(*, required: bool = False) -> Callable[[Command], Command]:
    """Add `[HOST]...`, passed to the command as `hosts`."""
    metavar = "HOST..." if required else "[HOST]..."
    return click.argument("hosts", metavar=metavar, nargs=-1, required=required, shell_complete=complete_host)


def host_argument(command: Command) -> Command:
    """Add `HOST`, passed to the command as `host`."""
    return click.argument("host", shell_complete=complete_host)(command)


def complete_host(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The hosts of the cluster meant that begin with what was typed."""
    from inaetics.errors import InaeticsError
    from inaetics.hosts.cluster import known_hosts
    from inaetics.hosts.paths import cluster_paths

    given = context.params.get("hosts") or ()
    try:
        names = known_hosts(cluster_paths(context.params.get("cluster") or "demo"))
    except InaeticsError:
        return []  # a name that no cluster can have: there is nothing to complete
    return [name for name in names if name.startswith(incomplete) and name not in given]
