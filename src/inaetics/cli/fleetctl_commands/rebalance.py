"""fleetctl rebalance."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

import click

from inaetics.cli.common import print_table, say
from inaetics.cli.fleetctl_commands.machine_arguments import HOLD_S, at_once_option
from inaetics.cli.session import Session, pass_session

if TYPE_CHECKING:
    from inaetics.api.client import FleetClient
    from inaetics.api.machines_wire import RebalanceReport

PATH = "/inaetics/v1/rebalance"


@click.command("rebalance")
@click.option("--plan", is_flag=True, help="Only show what would move where, and why.")
@at_once_option
@click.option("--no-block", is_flag=True, help="Do not wait.")
@pass_session
def command(session: Session, plan: bool, at_once: int, no_block: bool) -> None:
    """Even out the machines: units move from full machines to empty ones, where all their conditions hold.

    A move stops and starts a unit, so only those are made that make a difference between two machines, or between two
    values of a SpreadBy= key, smaller by two. Units tied to a machine or to another unit stay. Where a unit goes is
    decided when it is free to go.

    \b
      fleetctl rebalance --plan
      fleetctl rebalance --at-once 4
    """
    with session.client() as client:
        report = _ask(client, at_once=None if plan else at_once)
        if not report.moves:
            click.echo("nothing to gain: no move would make a difference smaller by two")
            return
        _print(report)
        if plan:
            return
        if no_block:
            click.echo(f"{len(report.moves)} units are going to move (see: fleetctl events)")
            return
        try:
            _follow(client, report)
        except KeyboardInterrupt:
            say("the rebalance goes on (see: fleetctl events)")
            raise


def _ask(client: FleetClient, *, at_once: int | None) -> RebalanceReport:
    """Start it or, with None, only look."""
    from inaetics.api.machines_wire import RebalanceAsk, RebalanceReport

    if at_once is None:
        return client.get_as(PATH, RebalanceReport)
    return client.send_as("POST", PATH, RebalanceAsk(at_once=at_once), RebalanceReport)


def _follow(client: FleetClient, report: RebalanceReport) -> None:
    from inaetics.api.machines_wire import RebalanceReport

    total = len(report.moves)
    while report.is_on:
        before = report.left
        query = urlencode({"after": report.revision, "wait_s": HOLD_S})
        report = client.get_as(f"{PATH}?{query}", RebalanceReport, wait_s=HOLD_S)
        if report.is_on and report.left < before:
            click.echo(f"{total - report.left} of {total} have left")
    click.echo("done" if not report.moves else f"done; {len(report.moves)} more would gain something by now")


def _print(report: RebalanceReport) -> None:
    rows = [(move.unit, move.source.name, move.target.name, move.because) for move in report.moves]
    print_table(("UNIT", "FROM", "TO", "BECAUSE"), rows)
