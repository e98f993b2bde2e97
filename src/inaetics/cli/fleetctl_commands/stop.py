"""fleetctl stop."""

from __future__ import annotations

import click

from inaetics.cli.fleetctl_commands.arguments import blocking_options, units_argument
from inaetics.cli.fleetctl_commands.submission import ask_all
from inaetics.cli.session import Session, pass_session
from inaetics.cli.triggering import tell_triggered
from inaetics.cli.unit_arguments import named, select
from inaetics.cli.verdicts import judge_stop
from inaetics.cli.waiting import wait_for
from inaetics.errors import Conflict


@click.command("stop")
@units_argument
@blocking_options
@pass_session
def command(session: Session, units: tuple[str, ...], no_block: bool, block_attempts: int) -> int:
    """Stop units. They stay on their machines, loaded, and can be started again. A global unit is not waited for.

    \b
      fleetctl stop hello.service
      fleetctl stop 'felix@*' --no-block
    """
    with session.client() as client:
        known = {unit.name: unit for unit in client.units().units}
        names = [name for name in select(units, known) if known[name].desired != "inactive"]
        for name in named(units):
            if name not in names:
                raise Conflict(f"cannot stop unit {name}: it is inactive (start it: fleetctl start {name})")
        ask_all(client, [name for name in names if known[name].desired == "launched"], "loaded")
        if no_block or not names:
            tell_triggered([known[name] for name in names], "stop")
            return 0
        return wait_for(client, names, judge_stop, attempts=block_attempts, wanted="stopped").exit_code
