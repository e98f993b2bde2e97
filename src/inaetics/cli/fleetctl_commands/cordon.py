"""fleetctl cordon."""

from __future__ import annotations

import click

from inaetics.cli.fleetctl_commands.machine_arguments import change, machine_argument
from inaetics.cli.session import Session, pass_session


@click.command("cordon")
@machine_argument
@pass_session
def command(session: Session, machine: str) -> None:
    """Give a machine no new units. What runs there goes on; the cordon outlives the machine's restarts.

    \b
      fleetctl cordon worker-2
      fleetctl uncordon worker-2
    """
    from inaetics.api.machines_wire import MachineChange

    with session.client() as client:
        done = change(client, machine, MachineChange(cordoned=True))
    click.echo(f"{done.name} takes no new units")
