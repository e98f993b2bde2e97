"""`inaetics version`."""

from __future__ import annotations

import click

from inaetics.cli.common import output_option, print_json, print_table


@click.command("version")
@output_option
def command(output: str) -> None:
    """Print the versions of this project, Python, and the programs it runs."""
    from inaetics.hosts.versions import versions

    found = versions()
    if output == "json":
        print_json(found)
    else:
        print_table((), [(name, version or "not installed") for name, version in found.items()])
