"""fleetctl forget."""

from __future__ import annotations

import click

from inaetics.cli.fleetctl_commands.machine_arguments import forget, machine_argument
from inaetics.cli.session import Session, pass_session


@click.command("forget")
@machine_argument
@pass_session
def command(session: Session, machine: str) -> None:
    """Forget a machine that has left for good: what is still placed there, and what was said of it.

    Refused while the machine is there. A machine that only lost its link may still run its units: those that are not
    global would then run twice until it returns and stops them.

    \b
      fleetctl forget worker-5
    """
    with session.client() as client:
        done = forget(client, machine)
    units = f", with {', '.join(done.units)}" if done.units else ""
    click.echo(f"{done.name} is forgotten{units}")
