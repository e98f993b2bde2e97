"""`inaetics destroy`."""

from __future__ import annotations

import click

from inaetics.cli.common import cluster_option
from inaetics.cli.progress import TerminalProgress


@click.command("destroy")
@cluster_option
def command(cluster: str) -> None:
    """Remove the cluster: no process, container, image, mount or file of it stays. There is no way back.

    When something that is not the cluster's is found inside its directory (a file, a mount), nothing is touched and
    the error names it.
    """
    from inaetics.hosts.destroy import destroy
    from inaetics.hosts.paths import cluster_paths

    destroy(cluster_paths(cluster), TerminalProgress())
