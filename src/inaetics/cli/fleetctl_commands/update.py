"""fleetctl update."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from inaetics.cli.common import output_option
from inaetics.cli.rollout_display import follow_to_the_end, print_plan, who
from inaetics.cli.session import Session, pass_session
from inaetics.cli.unit_arguments import expand, local_file, unit_name

if TYPE_CHECKING:
    from inaetics.api.client import FleetClient


@click.command("update")
@click.argument("units", metavar="FILE|TEMPLATE...", nargs=-1)
@click.option(
    "--at-once", metavar="N", type=click.IntRange(1, 1000), default=1, show_default=True, help="How many may be away."
)
@click.option("--plan", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--no-block", is_flag=True, help="Do not wait for the end.")
@click.option("--cancel", metavar="ID", default="", help="Undo the running update ID.")
@output_option
@pass_session
def command(
    session: Session, units: tuple[str, ...], at_once: int, plan: bool, no_block: bool, cancel: str, output: str
) -> int:
    """Give units new content, one instance after the other, each gated on its health; all go back when one fails.

    FILE is the new content of the unit or template of its name; of a template all instances with its old content are
    updated. TEMPLATE without a file brings its instances to the content it was submitted with. An instance counts as
    well when it was active for [X-Fleet] HealthyAfterSec= (5 s) on the new content; Type=notify and HealthCommand= say
    what active means. Exit code 0: done; 1: undone or stopped, with the reason.

    \b
      fleetctl update felix@.service
      fleetctl update hello.service --plan
      fleetctl update celix@.service --at-once=2 --no-block
      fleetctl update --cancel 3f2a9c1b
    """
    if bool(units) == bool(cancel):
        raise click.UsageError("name what to update, or an update to cancel (fleetctl rollouts lists them)")
    with session.client() as client:
        if cancel:
            from inaetics.api.rollouts_client import cancel as cancelled

            return follow_to_the_end(client, cancelled(client, cancel, by=who()), block=not no_block, output=output)
        codes = [_update(client, each, at_once, plan=plan, block=not no_block, output=output) for each in expand(units)]
    return max(codes)


def _update(client: FleetClient, argument: str, at_once: int, *, plan: bool, block: bool, output: str) -> int:
    from inaetics.api.rollouts_client import begin
    from inaetics.api.rollouts_wire import RolloutRequest

    name, file = unit_name(argument), local_file(argument)
    asked = RolloutRequest(name=name, text=file.text if file else None, at_once=at_once, by=who(), plan=plan)
    reply = begin(client, asked)
    if plan:
        print_plan(reply.rollout, output)
        return 0
    return follow_to_the_end(client, reply, block=block, output=output)
