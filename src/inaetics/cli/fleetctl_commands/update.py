"""fleetctl update."""

from __future__ import annotations

import getpass
import socket
import time
from typing import TYPE_CHECKING

import click

from inaetics.cli.common import output_option, print_json, print_table, say
from inaetics.cli.fleetctl_commands.fields import record, short_hash
from inaetics.cli.session import Session, pass_session
from inaetics.cli.unit_arguments import expand, local_file, unit_name

if TYPE_CHECKING:
    from inaetics.api.client import FleetClient
    from inaetics.api.rollouts_wire import RolloutEntry, RolloutReply


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

            return _follow(client, cancelled(client, cancel, by=_who()), block=not no_block, output=output)
        codes = [_update(client, each, at_once, plan=plan, block=not no_block, output=output) for each in expand(units)]
    return max(codes)


def _update(client: FleetClient, argument: str, at_once: int, *, plan: bool, block: bool, output: str) -> int:
    from inaetics.api.rollouts_client import begin
    from inaetics.api.rollouts_wire import RolloutRequest

    file = local_file(argument)
    asked = RolloutRequest(
        name=unit_name(argument), text=file.text if file else None, at_once=at_once, by=_who(), plan=plan
    )
    reply = begin(client, asked)
    if plan:
        _print_plan(reply.rollout, output)
        return 0
    return _follow(client, reply, block=block, output=output)


def _print_plan(rollout: RolloutEntry, output: str) -> None:
    if output == "json":
        print_json(record(rollout))
        return
    click.echo(f"{rollout.target}: {short_hash(rollout.old_hash, False)} → {short_hash(rollout.new_hash, False)}")
    rows = [(step.unit, "would be updated", step.message) for step in rollout.steps]
    rows += [(step.unit, "would be skipped", step.message) for step in rollout.skipped]
    print_table(("UNIT", "", "WHY"), rows)


def _follow(client: FleetClient, reply: RolloutReply, *, block: bool, output: str) -> int:
    from inaetics.api.rollouts_client import follow

    rollout = reply.rollout
    if not block:
        if output == "json":
            print_json(record(rollout))
        else:
            click.echo(f"update {rollout.id} of {rollout.target} goes on (see: fleetctl rollouts)")
        return 0
    told: dict[str, str] = {}
    for rollout in follow(client, reply):
        if output == "table":
            _tell(rollout, told)
    if output == "json":
        print_json(record(rollout))
    else:
        took = rollout.ended_at - rollout.started_at
        click.echo(
            f"update {rollout.id} of {rollout.target}: {rollout.phase} after {took:.1f} s"
            + (f": {rollout.reason}" if rollout.reason else "")
        )
    return 0 if rollout.phase == "done" else 1


def _tell(rollout: RolloutEntry, told: dict[str, str]) -> None:
    """Print what has changed since the last time."""
    if not told:
        of = f"{short_hash(rollout.old_hash, False)} → {short_hash(rollout.new_hash, False)}"
        click.echo(f"update {rollout.id} of {rollout.target}: {of}, {len(rollout.steps)} to update")
    for step in (*rollout.skipped, *rollout.steps):
        if told.get(step.unit, "waiting") != step.progress:
            click.echo(f"  {step.unit} {step.progress}" + (f": {step.message}" if step.message else ""))
        told[step.unit] = step.progress
    if rollout.phase == "undoing" and told.get("", "") != "undoing":
        told[""] = "undoing"
        say(f"update {rollout.id} goes back: {rollout.reason}")
    told.setdefault("", "begun")


def _who() -> str:
    """Who asks, as the history shows it."""
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):
        return "somebody"


def when(seconds: float) -> str:
    """An instant, for people."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds)) if seconds else ""
