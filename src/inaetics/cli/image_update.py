"""`inaetics image update`: units are brought to the images that their tags mean now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from inaetics.cli.common import cluster_option, output_option, print_json, say
from inaetics.cli.session import Session
from inaetics.errors import Conflict, NotFound, Unavailable

if TYPE_CHECKING:
    from inaetics.api.client import FleetClient


@click.command("update")
@click.argument("names", metavar="[IMAGE|UNIT]...", nargs=-1)
@click.option(
    "--at-once", metavar="N", type=click.IntRange(1, 1000), default=1, show_default=True, help="How many may be away."
)
@click.option("--plan", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--no-block", is_flag=True, help="Do not wait for the end.")
@click.option(
    "--endpoint", metavar="URL", envvar="FLEETCTL_ENDPOINT", help="The fleet's API, when not this machine's cluster."
)
@output_option
@cluster_option
def update(
    names: tuple[str, ...], at_once: int, plan: bool, no_block: bool, endpoint: str | None, output: str, cluster: str
) -> int:
    """Give units the images that their tags mean now, one after the other, each gated on its health.

    A unit keeps the digest it runs when its tag is pushed anew, also when it restarts or moves. This command finds the
    units whose tag means another digest now (of the images, units or templates named; none named: all) and updates
    them as 'fleetctl update' does: a unit counts as well when it was active for [X-Fleet] HealthyAfterSec= (5 s);
    when one is not well, all go back to the images they had. 'fleetctl rollouts' lists it, 'fleetctl update --cancel'
    undoes it. Exit code 0: done, or nothing to do; 1: undone or stopped, with the reason.

    \b
      inaetics image update --plan              what would change, where, in which order
      inaetics image update                     everything that has a newer image
      inaetics image update felix-agent         the units of one image
      inaetics image update felix@1 --at-once=2
    """
    from inaetics.api.rollouts_client import begin_images
    from inaetics.api.rollouts_wire import ImageUpdateRequest
    from inaetics.cli.rollout_display import follow_to_the_end, print_plan, who

    asked = ImageUpdateRequest(names=names, at_once=at_once, by=who(), plan=plan)
    with Session(cluster=cluster, endpoint=endpoint).client() as client:
        try:
            reply = begin_images(client, asked)
        except Conflict as error:
            if not str(error).startswith("nothing to update"):
                raise
            say(str(error))
            if output == "json":
                print_json(None)
            return 0
        if plan:
            print_plan(reply.rollout, output)
            return 0
        return follow_to_the_end(client, reply, block=not no_block, output=output)


def older_images(client: FleetClient) -> str:
    """Say which units run an older image than their tag means now; empty when none does, or when nobody can tell."""
    from inaetics.api.rollouts_client import begin_images
    from inaetics.api.rollouts_wire import ImageUpdateRequest

    try:
        planned = begin_images(client, ImageUpdateRequest(plan=True)).rollout
    except (Conflict, NotFound, Unavailable):
        return ""
    names = [step.unit for step in planned.steps]
    some = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f"an older image than was pushed runs in {some} (what to do: inaetics image update --plan)"
