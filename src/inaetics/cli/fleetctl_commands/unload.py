"""fleetctl unload."""

from __future__ import annotations

import click

from inaetics.cli.fleetctl_commands.arguments import blocking_options, units_argument
from inaetics.cli.fleetctl_commands.submission import ask_all
from inaetics.cli.session import Session, pass_session
from inaetics.cli.triggering import tell_triggered
from inaetics.cli.unit_arguments import select
from inaetics.cli.verdicts import judge_unload
from inaetics.cli.waiting import wait_for


@click.command("unload")
@units_argument
@blocking_options
@pass_session
def command(session: Session, units: tuple[str, ...], no_block: bool, block_attempts: int) -> int:
    """Stop units and take them off their machines. They stay submitted. A global unit is not waited for.

    \b
      fleetctl unload hello.service
      fleetctl unload 'celix@*'
    """
    with session.client() as client:
        known = {unit.name: unit for unit in client.units().units}
        names = [name for name in select(units, known) if known[name].desired != "inactive"]
        ask_all(client, names, "inactive")
        if no_block:
            tell_triggered([known[name] for name in names], "unload")
            return 0
        return wait_for(client, names, judge_unload, attempts=block_attempts, wanted="inactive").exit_code
