"""`inaetics token`."""

from __future__ import annotations

import click

from inaetics.cli.common import cluster_option


@click.command("token")
@click.option("--renew", is_flag=True, help="Make another one; the one before opens nothing any more.")
@cluster_option
def command(renew: bool, cluster: str) -> None:
    """Print the control token, which the demonstrator's page asks for before it changes anything.

    Whoever has it may scale the demonstrator, set its load, and in a cluster that runs on one machine switch hosts off
    and on. Looking at the pages needs no token. It is kept in the cluster's directory, readable by its owner only.
    """
    from inaetics.hosts.cluster import load
    from inaetics.hosts.control import read_token, renew_token
    from inaetics.hosts.paths import cluster_paths

    paths = cluster_paths(cluster)
    load(paths)
    click.echo(renew_token(paths) if renew else read_token(paths))
