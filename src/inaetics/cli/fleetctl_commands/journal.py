"""fleetctl journal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from inaetics.cli.fleetctl_commands.arguments import unit_argument
from inaetics.cli.obsolete import ssh_port_option
from inaetics.cli.session import Session, pass_session
from inaetics.cli.unit_arguments import select

Command = TypeVar("Command", bound=Callable[..., Any])


def journal_options(command: Command) -> Command:
    """Add `--lines`, `--follow` and `--machine`."""
    count = click.option(
        "--lines", "-n", metavar="N", type=click.IntRange(min=0), default=10, show_default=True, help="How many lines."
    )
    go_on = click.option("--follow", "-f", is_flag=True, help="Go on printing new lines until interrupted.")
    machine = click.option(
        "--machine", metavar="MACHINE", help="From this machine, for a global unit: a name, or the start of an id."
    )
    return count(go_on(machine(command)))


@click.command("journal")
@unit_argument
@journal_options
@click.option("--output", type=click.Choice(["short", "cat"]), hidden=True, expose_value=False)
@click.option("--sudo", is_flag=True, hidden=True, expose_value=False)
@ssh_port_option
@pass_session
def command(session: Session, unit: str, lines: int, follow: bool, machine: str | None) -> int:
    """Print the last lines of a unit's journal, from the machine it is on; of a global one from each of its machines.

    'fleetctl logs' does it for several units at once.

    \b
      fleetctl journal hello.service
      fleetctl journal --lines 100 -f felix@1
      fleetctl journal --machine worker-2 etcd-proxy.service
    """
    from inaetics.cli.following import Following, print_last

    with session.client() as client:
        names = select([unit], [each.name for each in client.units().units])
    if len(names) > 1:
        raise click.UsageError(f"{unit!r} means {len(names)} units: name one (all of them: fleetctl logs {unit!r})")
    if follow:
        return Following(session, names, lines=lines, machine=machine).run()
    return print_last(session, names, lines=lines, machine=machine)
