"""`inaetics up`."""

from __future__ import annotations

import click

from inaetics.cli.common import cluster_option
from inaetics.cli.host_commands.arguments import hosts_argument
from inaetics.cli.progress import TerminalProgress


@click.command("up")
@hosts_argument()
@click.option("--workers", metavar="N", type=int, help="How many workers; 5 for a new cluster, else as many as it has.")
@click.option("--subnet", metavar="A.B.C", help="Where a new cluster lives, such as 127.17.8. Default: the first free.")
@click.option("--remove", is_flag=True, help="With fewer --workers: remove the surplus with their images and data.")
@click.option("--no-bootstrap", is_flag=True, help="A new cluster without a bootstrap host; else: leave it as it is.")
@cluster_option
def command(
    hosts: tuple[str, ...], workers: int | None, subnet: str | None, remove: bool, no_bootstrap: bool, cluster: str
) -> None:
    """Make the cluster, or start what of it is down; return when every machine is listed.

    Run it again at any time: what runs is left alone. With HOST only those are started.

    \b
      inaetics up                  five workers and a bootstrap host, or those there are
      inaetics up worker-4         one host, after 'halt' or 'kill'
      inaetics up --workers 7      two more workers
      inaetics up --workers 3 --remove   two fewer: the last ones go, and what they held
      inaetics up --no-bootstrap --workers 7   the same while the bootstrap host is dead

    The first three workers hold the cluster's store (with one or two workers, the first). They are chosen when the
    cluster is made and stay; a cluster made with one worker keeps a store of one when it grows.

    The bootstrap host is a convenience: members of the store find each other there, images are built there, and the
    first image registry is there. A new cluster made with --no-bootstrap does without: its members are known from the
    inventory, its registries are on the hosts that hold the store, and images are built on the first of them.
    """
    from inaetics.hosts.paths import cluster_paths
    from inaetics.hosts.settle import Request
    from inaetics.hosts.up import up

    request = Request(hosts=hosts, workers=workers, subnet=subnet, remove=remove, bootstrap=not no_bootstrap)
    up(cluster_paths(cluster), request, TerminalProgress())
