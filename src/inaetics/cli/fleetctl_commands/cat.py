"""fleetctl cat."""

from __future__ import annotations

import click

from inaetics.cli.fleetctl_commands.arguments import units_argument
from inaetics.cli.session import Session, pass_session
from inaetics.cli.unit_arguments import select


@click.command("cat")
@units_argument
@pass_session
def command(session: Session, units: tuple[str, ...]) -> None:
    """Print unit files exactly as they were submitted.

    \b
      fleetctl cat hello.service
      fleetctl cat 'felix@*'
    """
    with session.client() as client:
        names = select(units, [unit.name for unit in client.units().units])
        for position, name in enumerate(names):
            if len(names) > 1:
                click.echo(f"{'' if position == 0 else chr(10)}# {name}")
            text = client.unit(name).text
            click.echo(text, nl=not text.endswith("\n"))
