"""fleetctl journal."""

from __future__ import annotations

import click

from inaetics.cli.fleetctl_commands.arguments import unit_argument
from inaetics.cli.session import Session, pass_session
from inaetics.cli.unit_arguments import unit_name


@click.command("journal")
@unit_argument
@click.option(
    "--lines", "-n", metavar="N", type=click.IntRange(min=0), default=10, show_default=True, help="How many lines."
)
@click.option("--follow", "-f", is_flag=True, help="Go on printing new lines until interrupted.")
@pass_session
def command(session: Session, unit: str, lines: int, follow: bool) -> None:
    """Print the last lines of a unit's journal, from the machine it is on.

    \b
      fleetctl journal hello.service
      fleetctl journal -n 100 -f felix@1
    """
    with session.client() as client:
        for line in client.journal(unit_name(unit), lines=lines, follow=follow):
            click.echo(line)
