"""`inaetics destroy`."""

from __future__ import annotations

import click

from inaetics.cli.common import cluster_option, confirm
from inaetics.cli.progress import TerminalProgress


@click.command("destroy")
@click.option("--yes", is_flag=True, help="Do not ask. Without a terminal nobody is asked.")
@cluster_option
def command(yes: bool, cluster: str) -> None:
    """Remove the cluster: no process, container, image, mount or file of it stays. There is no way back.

    When something that is not the cluster's is found inside its directory (a file, a mount), nothing is touched and
    the error names it.
    """
    import sys

    from inaetics.hosts.destroy import destroy, refuse_oddities
    from inaetics.hosts.paths import cluster_paths

    paths = cluster_paths(cluster)
    if not yes and sys.stdin.isatty():
        refuse_oddities(paths)
        confirm(f"Remove cluster {cluster!r} with everything it holds ({paths.state})?")
    destroy(paths, TerminalProgress())
