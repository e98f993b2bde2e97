"""fleetctl uncordon."""

from __future__ import annotations

import click

from inaetics.cli.fleetctl_commands.machine_arguments import change, machine_argument
from inaetics.cli.session import Session, pass_session


@click.command("uncordon")
@machine_argument
@pass_session
def command(session: Session, machine: str) -> None:
    """Let a machine take units again; a drain ends. What has left does not come back by itself.

    \b
      fleetctl uncordon worker-2
      fleetctl rebalance              gives it its share
    """
    from inaetics.api.machines_wire import MachineChange

    with session.client() as client:
        done = change(client, machine, MachineChange(cordoned=False, draining=False))
    click.echo(f"{done.name} takes units")
