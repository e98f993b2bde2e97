"""`inaetics restart`."""

from __future__ import annotations

import click

from inaetics.cli.common import cluster_option
from inaetics.cli.host_commands.arguments import hosts_argument
from inaetics.cli.progress import TerminalProgress


@click.command("restart")
@hosts_argument()
@cluster_option
def command(hosts: tuple[str, ...], cluster: str) -> None:
    """Halt hosts and start them again: the named ones, or the whole cluster."""
    from inaetics.hosts.halt import halt
    from inaetics.hosts.paths import cluster_paths
    from inaetics.hosts.settle import Request
    from inaetics.hosts.up import up

    paths, progress = cluster_paths(cluster), TerminalProgress()
    halt(paths, hosts, progress)
    up(paths, Request(hosts=hosts), progress)
