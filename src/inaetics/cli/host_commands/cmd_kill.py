"""`inaetics kill`."""

from __future__ import annotations

import click

from inaetics.cli.common import cluster_option, say
from inaetics.cli.host_commands.arguments import hosts_argument


@click.command("kill")
@hosts_argument(required=True)
@cluster_option
def command(hosts: tuple[str, ...], cluster: str) -> None:
    """Cut a host's power: everything on it dies at once, containers too; nothing is told or saved.

    The fleet starts its units elsewhere once the machine's lease has ended (5 to 8 seconds). 'inaetics up HOST'
    switches it on again.
    """
    from inaetics.hosts.kill import kill
    from inaetics.hosts.paths import cluster_paths

    killed = kill(cluster_paths(cluster), hosts)
    say(f"{', '.join(hosts)}: {killed} processes killed" if killed else f"{', '.join(hosts)}: nothing was running")
