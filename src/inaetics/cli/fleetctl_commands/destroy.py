"""fleetctl destroy."""

from __future__ import annotations

import click

from inaetics.cli.fleetctl_commands.arguments import blocking_options, units_argument
from inaetics.cli.fleetctl_commands.submission import destroy_all
from inaetics.cli.session import Session, pass_session
from inaetics.cli.unit_arguments import select
from inaetics.cli.waiting import wait_until_gone


@click.command("destroy")
@units_argument
@blocking_options
@pass_session
def command(session: Session, units: tuple[str, ...], no_block: bool, block_attempts: int) -> int:
    """Stop units wherever they run and forget them.

    Returns once no machine has them any more.

    \b
      fleetctl destroy hello.service
      fleetctl destroy 'felix@*'          instances and their template
    """
    with session.client() as client:
        names = select(units, [unit.name for unit in client.units().units])
        destroy_all(client, names)
        click.echo("\n".join(f"Destroyed {name}" for name in names))
        return 0 if no_block else wait_until_gone(client, names, attempts=block_attempts)
