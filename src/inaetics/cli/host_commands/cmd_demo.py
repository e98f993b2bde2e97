"""`inaetics demo`."""

from __future__ import annotations

import click

from inaetics.cli.common import cluster_option, say
from inaetics.cli.progress import TerminalProgress


@click.command("demo")
@click.option("--workers", metavar="N", type=int, help="How many workers; 5 for a new cluster, else as many as it has.")
@click.option("--subnet", metavar="A.B.C", help="Where a new cluster lives, such as 127.17.8. Default: the first free.")
@cluster_option
def command(workers: int | None, subnet: str | None, cluster: str) -> None:
    """Bring up the whole demonstrator and print where its page is.

    Hosts, images, one provisioning server and two agents of each kind; what is there already stays as it is, so a
    second run is quick, and keeps the number of agents. Ctrl-C takes back what the run has started.
    """
    import getpass
    import os
    import shutil
    import sys

    from inaetics.cli.demo import demo, farther, tunnel
    from inaetics.cli.host_commands.cmd_status import show
    from inaetics.hosts.paths import cluster_paths
    from inaetics.hosts.settle import Request
    from inaetics.hosts.status import status

    paths = cluster_paths(cluster)
    address = demo(paths, Request(workers=workers, subnet=subnet), TerminalProgress())
    click.echo()
    show(status(paths))
    say("\n" + farther(cluster, os.path.relpath(sys.argv[0]), on_path=shutil.which("inaetics") is not None))
    if through := tunnel(address, os.environ, getpass.getuser()):
        say(f"\nYou are here over ssh. On your own machine:\n\n    {through}\n\nthen open http://localhost:8080")
