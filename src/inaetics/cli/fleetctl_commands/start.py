"""fleetctl start."""

from __future__ import annotations

import click

from inaetics.cli.fleetctl_commands.arguments import blocking_options, files_argument
from inaetics.cli.fleetctl_commands.submission import bring, known_units
from inaetics.cli.obsolete import sign_option
from inaetics.cli.session import Session, pass_session
from inaetics.cli.triggering import tell_triggered
from inaetics.cli.verdicts import judge_start
from inaetics.cli.waiting import wait_for


@click.command("start")
@files_argument
@blocking_options
@click.option("--replace", is_flag=True, help="Take the file, also where other content is submitted.")
@sign_option
@pass_session
def command(session: Session, units: tuple[str, ...], no_block: bool, block_attempts: int, replace: bool) -> int:
    """Start units. What was not submitted yet is, from a file or a template of that name; X.container is X.service.

    Returns once they run. A unit that no machine can take is left waiting, with its reason; it starts when there is
    room. A global unit, which runs on every machine that fits, is started without waiting: 'fleetctl status' shows how
    it is on each. Exit code 0: all run; 1: one failed, or took longer than --block-attempts; 3: one waits.

    \b
      fleetctl start hello.service
      fleetctl start units/*.service --no-block
      fleetctl start 'felix@{1..4}'       from felix@.service or felix@.container, here or submitted
      fleetctl start celix@5 --block-attempts=20
      fleetctl start 'celix@*'            those that are submitted
    """
    with session.client() as client:
        names = bring(client, units, desired="launched", replace=replace)
        if no_block:
            tell_triggered(known_units(client, names), "start")
            return 0
        return wait_for(client, names, judge_start, attempts=block_attempts, wanted="launched").exit_code
