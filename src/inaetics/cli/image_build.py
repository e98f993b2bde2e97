"""`inaetics image build`: the system's images, and images of one's own."""

from __future__ import annotations

from pathlib import Path

import click

from inaetics.cli.common import cluster_option, output_option, print_json, print_table
from inaetics.cli.progress import TerminalProgress


@click.command("build")
@click.argument("names", metavar="[IMAGE]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All images of the system, also felix-agent:java.")
@click.option(
    "--context",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Build this folder with its Containerfile as IMAGE, an image of your own.",
)
@click.option("--base", "start", metavar="IMAGE", help="Start from this image instead of the Containerfile's.")
@click.option("--refresh", is_flag=True, help="Make the base image anew, from today's Debian packages.")
@output_option
@cluster_option
def build(
    names: tuple[str, ...],
    every: bool,
    context: Path | None,
    start: str | None,
    refresh: bool,
    output: str,
    cluster: str,
) -> None:
    """Build images, as far as something changed since. None named: all but felix-agent:java.

    The same inputs give the same image, wherever and whenever it is built: its id and the registry's digest tell.

    That one is for bundles in Java. It takes a JDK, which is fetched once for building (110 MB of packages).

    \b
      inaetics image build felix-agent
      inaetics image build felix-agent:java
      inaetics image build mine --context ./mine           FROM localhost/inaetics/node, for example
      inaetics image build --all --base localhost/site/node:latest
    """
    from inaetics.cli.image_work import build_images, build_own_image, every_name, workshop

    _check_build(names, every, context, refresh)
    with TerminalProgress().step("build images") as step:
        if context is None:
            wanted = every_name() if every else names
            built = build_images(workshop(cluster), wanted, start=start, refresh=refresh, progress=step.update)
        else:
            built = [build_own_image(workshop(cluster), names[0], context, start=start, progress=step.update)]
    rows = [(each.name, each.identity[:12], "unchanged" if each.unchanged else "built") for each in built]
    if output == "json":
        print_json([{"name": each.name, "id": each.identity, "unchanged": each.unchanged} for each in built])
    else:
        print_table(("IMAGE", "ID", "RESULT"), rows)


def _check_build(names: tuple[str, ...], every: bool, context: Path | None, refresh: bool) -> None:
    """Refuse what contradicts itself."""
    if every and names:
        raise click.UsageError("either --all or the images' names, not both")
    if context is not None and (every or refresh or len(names) != 1):
        raise click.UsageError("--context builds one image: inaetics image build NAME --context FOLDER")
