"""fleetctl load."""

from __future__ import annotations

import click

from inaetics.cli.common import say
from inaetics.cli.fleetctl_commands.arguments import blocking_options, files_argument
from inaetics.cli.fleetctl_commands.submission import bring, known_units, spelled_out, stored_units
from inaetics.cli.obsolete import sign_option
from inaetics.cli.session import Session, pass_session
from inaetics.cli.triggering import tell_triggered
from inaetics.cli.unit_arguments import unit_name
from inaetics.cli.verdicts import judge_load
from inaetics.cli.waiting import wait_for


@click.command("load")
@files_argument
@blocking_options
@click.option("--replace", is_flag=True, help="Take the file, also where other content is submitted.")
@sign_option
@pass_session
def command(session: Session, units: tuple[str, ...], no_block: bool, block_attempts: int, replace: bool) -> int:
    """Give units to machines without starting them, submitting them first if needed.

    A unit that runs is left running: 'fleetctl stop' is what stops it. A global unit is not waited for.

    \b
      fleetctl load hello.service
      fleetctl load 'felix@{1..4}' --no-block
    """
    with session.client() as client:
        asked = spelled_out(client, units)
        stored = stored_units(client, asked)
        running = {name for name, unit in stored.items() if unit.desired == "launched"}
        wanted = [argument for argument in asked if unit_name(argument) not in running]
        for argument in asked:
            if argument not in wanted:
                say(f"unit {unit_name(argument)} is launched: it is loaded already (stop it: fleetctl stop {argument})")
        names = bring(client, wanted, desired="loaded", replace=replace)
        if no_block:
            tell_triggered(known_units(client, names), "load")
            return 0
        return wait_for(client, names, judge_load, attempts=block_attempts, wanted="loaded").exit_code
