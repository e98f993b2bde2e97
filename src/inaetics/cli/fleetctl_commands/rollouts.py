"""fleetctl rollouts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from inaetics.cli.common import output_option, print_json, print_table
from inaetics.cli.fleetctl_commands.submission import check_known
from inaetics.cli.listings import record
from inaetics.cli.rollout_display import change, when
from inaetics.cli.session import Session, pass_session
from inaetics.cli.unit_arguments import unit_name

if TYPE_CHECKING:
    from inaetics.api.rollouts_wire import RolloutEntry


@click.command("rollouts")
@click.option("--unit", "-u", metavar="UNIT", default="", help="Only those of this unit or template, with every step.")
@output_option
@pass_session
def command(session: Session, unit: str, output: str) -> None:
    """List the updates that run and the last ones that ended: who, when, from what to what, and what became of them.

    Updates of content (fleetctl update) and of images (inaetics image update) alike.

    \b
      fleetctl rollouts
      fleetctl rollouts --unit felix@.service
    """
    from inaetics.api.rollouts_client import rollouts

    with session.client() as client:
        listed = rollouts(client, unit_name(unit) if unit else "")
        session.warn(client)
        if unit and not listed.rollouts:
            check_known(client, unit_name(unit), "updates")
    if output == "json":
        print_json([record(rollout) for rollout in listed.rollouts])
        return
    if listed.rollouts:
        header = ("ID", "TARGET", "CHANGE", "STATE", "UNITS", "BEGAN (UTC)", "TOOK", "BY", "REASON")
        print_table(header, [_row(rollout) for rollout in listed.rollouts])
    for rollout in listed.rollouts if unit else ():
        click.echo(f"\n{rollout.id}:")
        steps = (*rollout.steps, *rollout.skipped)
        rows = [(step.unit, step.progress, when(step.at), step.message or step.doing) for step in steps]
        print_table(("UNIT", "STATE", "SINCE (UTC)", "WHY"), rows)


def _row(rollout: RolloutEntry) -> tuple[str, ...]:
    done = sum(step.progress == "done" for step in rollout.steps)
    return (
        rollout.id,
        rollout.target,
        change(rollout),
        rollout.phase,
        f"{done}/{len(rollout.steps)}",
        when(rollout.started_at),
        f"{rollout.ended_at - rollout.started_at:.1f} s" if rollout.ended_at else "",
        rollout.by,
        rollout.reason,
    )
