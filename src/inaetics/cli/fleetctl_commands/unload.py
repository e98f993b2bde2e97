"""fleetctl unload."""

from __future__ import annotations

import click

from inaetics.cli.common import say
from inaetics.cli.fleetctl_commands.arguments import blocking_options, units_argument
from inaetics.cli.fleetctl_commands.submission import ask_all
from inaetics.cli.session import Session, pass_session
from inaetics.cli.unit_arguments import select
from inaetics.cli.verdicts import judge_unload
from inaetics.cli.waiting import wait_for


@click.command("unload")
@units_argument
@blocking_options
@pass_session
def command(session: Session, units: tuple[str, ...], no_block: bool, block_attempts: int) -> int:
    """Stop units and take them off their machines. They stay submitted.

    \b
      fleetctl unload hello.service
      fleetctl unload 'celix@*'
    """
    with session.client() as client:
        known = {unit.name: unit for unit in client.units().units}
        names = [name for name in select(units, known) if known[name].desired != "inactive"]
        ask_all(client, names, "inactive")
        if no_block:
            for name in names:
                say(f"Triggered unit {name} unload")
            return 0
        return wait_for(client, names, judge_unload, attempts=block_attempts, wanted="inactive").exit_code
