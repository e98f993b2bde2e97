"""fleetctl logs."""

from __future__ import annotations

import click

from inaetics.cli.fleetctl_commands.arguments import units_argument
from inaetics.cli.fleetctl_commands.journal import journal_options
from inaetics.cli.session import Session, pass_session
from inaetics.cli.unit_arguments import select


@click.command("logs")
@units_argument
@journal_options
@pass_session
def command(session: Session, units: tuple[str, ...], lines: int, follow: bool, machine: str | None) -> int:
    """Print what units have written; of several, with the unit in front of each line.

    With -f it goes on, also when a unit moves to another machine, and says so.

    \b
      fleetctl logs -f hello.service
      fleetctl logs -f 'felix@*' --lines 0
      fleetctl logs felix@1 felix@2 -n 50
    """
    from inaetics.cli.following import Following, print_last

    with session.client() as client:
        names = [name for name in select(units, [unit.name for unit in client.units().units]) if "@." not in name]
    if follow:
        return Following(session, names, lines=lines, machine=machine).run()
    return print_last(session, names, lines=lines, machine=machine)
