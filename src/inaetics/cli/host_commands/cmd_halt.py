"""`inaetics halt`."""

from __future__ import annotations

import click

from inaetics.cli.common import cluster_option, say
from inaetics.cli.host_commands.arguments import hosts_argument
from inaetics.cli.progress import TerminalProgress


@click.command("halt")
@hosts_argument()
@cluster_option
def command(hosts: tuple[str, ...], cluster: str) -> None:
    """Stop hosts in order: their units, then what the host runs itself. Their state stays; 'inaetics up' goes on.

    Without HOST the whole cluster is halted, and nothing moves: every unit is where it was after the next 'up'. When
    single hosts are halted the fleet starts their units elsewhere.
    """
    from inaetics.hosts.halt import halt
    from inaetics.hosts.paths import cluster_paths

    if not halt(cluster_paths(cluster), hosts, TerminalProgress()):
        say("nothing was running")
