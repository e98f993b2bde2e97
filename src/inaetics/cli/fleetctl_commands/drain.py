"""fleetctl drain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from inaetics.cli.common import say
from inaetics.cli.fleetctl_commands.machine_arguments import at_once_option, change, detail, machine_argument
from inaetics.cli.session import Session, pass_session
from inaetics.cli.waiting import WAITING

if TYPE_CHECKING:
    from inaetics.api.client import FleetClient
    from inaetics.api.machines_wire import MachineDetail


@click.command("drain")
@machine_argument
@at_once_option
@click.option("--no-block", is_flag=True, help="Do not wait.")
@pass_session
def command(session: Session, machine: str, at_once: int, no_block: bool) -> int:
    """Move a machine's units to others, so that it can be restarted or taken away.

    The machine is cordoned; each unit leaves only when another machine has room for it. Global units stay. What cannot
    leave is named with the reason, and leaves as soon as there is a place. Interrupted, the drain goes on: end it with
    uncordon. Exit code 3 when something cannot leave.

    \b
      fleetctl drain worker-2
      fleetctl drain worker-2 --at-once 4
      fleetctl uncordon worker-2          afterwards, or to end it
    """
    from inaetics.api.machines_wire import MachineChange

    with session.client() as client:
        done = change(client, machine, MachineChange(cordoned=True, draining=True, at_once=at_once))
        if no_block:
            click.echo(
                f"{done.name} is being drained (see: fleetctl list-units; end it: fleetctl uncordon {done.name})"
            )
            return 0
        try:
            return _follow(client, done.id, done.name)
        except KeyboardInterrupt:
            say(
                f"the drain of {done.name} goes on (wait again: fleetctl drain {done.name};"
                f" end it: fleetctl uncordon {done.name})"
            )
            raise


def _follow(client: FleetClient, machine: str, name: str) -> int:
    """Tell what leaves until nothing more does."""
    shown = detail(client, machine)
    here = {each.unit for each in shown.left}
    while shown.machine is not None and shown.machine.draining and not shown.is_over:
        shown = detail(client, machine, after=shown.revision)
        for unit in sorted(here - {each.unit for each in shown.left}):
            click.echo(f"{unit} has left")
        here = {each.unit for each in shown.left}
    return _end(shown, name)


def _end(shown: MachineDetail, name: str) -> int:
    if shown.machine is None:
        say(f"{name} is not there any more: what was on it starts elsewhere")
        return WAITING
    if not shown.machine.draining:
        say(f"{name} is not drained any more: somebody has ended it")
        return WAITING
    stuck = [each for each in shown.left if each.fate == "stuck"]
    for each in stuck:
        say(f"{each.unit} cannot leave: {each.why}")
    if stuck:
        say(f"{name} keeps {len(stuck)} {'unit' if len(stuck) == 1 else 'units'}, until there is a place")
        return WAITING
    stays = [each.unit for each in shown.left]
    click.echo(f"{name} is empty" + (f", but for global units: {', '.join(stays)}" if stays else ""))
    return 0
