"""`inaetics journal`."""

from __future__ import annotations

import click

from inaetics.cli.common import cluster_option
from inaetics.cli.host_commands.arguments import host_argument


@click.command("journal")
@host_argument
@click.argument("unit", required=False)
@click.option("--lines", "-n", metavar="N", type=click.IntRange(0), default=20, show_default=True, help="How many.")
@click.option("--follow", "-f", is_flag=True, help="Go on printing what comes.")
@cluster_option
def command(host: str, unit: str | None, lines: int, follow: bool, cluster: str) -> None:
    """Print what a host's units have written, the host's own and the fleet's; also of a host that is off.

    Without UNIT, every unit in turn, and what the host's supervisor says of itself (as 'supervisor'). Its remarks on
    a unit stand between that unit's own lines.

    \b
      inaetics journal worker-1 etcd -n 50
      inaetics journal worker-2 -f
    """
    from inaetics.hosts.cluster import load
    from inaetics.hosts.journals import find_unit, read, units_with_journals
    from inaetics.hosts.paths import cluster_paths

    paths = cluster_paths(cluster)
    place = paths.host(load(paths).host(host).name)
    units = [find_unit(place, unit)] if unit else units_with_journals(place)
    last = None
    for name, line in read(place, units, lines=lines, follow=follow):
        if name != last and len(units) > 1:
            click.echo(f"{'' if last is None else chr(10)}==> {name} <==")
        last = name
        click.echo(line)
