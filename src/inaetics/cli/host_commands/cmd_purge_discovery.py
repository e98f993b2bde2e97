"""`inaetics purge-discovery`."""

from __future__ import annotations

import click

from inaetics.cli.common import cluster_option, say


@click.command("purge-discovery")
@cluster_option
def command(cluster: str) -> None:
    """Forget which members of the store have registered with the discovery service.

    Never needed for a restart: a member that has joined once knows the others. It helps when a cluster was stopped
    while it formed for the first time.
    """
    from inaetics.hosts.discovery import purge
    from inaetics.hosts.paths import cluster_paths

    forgotten = purge(cluster_paths(cluster))
    say(f"{forgotten} registrations forgotten" if forgotten else "nothing was registered")
