"""fleetctl events."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from inaetics.cli.common import output_option, print_json, say
from inaetics.cli.fleetctl_commands.submission import check_known
from inaetics.cli.listings import record
from inaetics.cli.session import Session, pass_session
from inaetics.cli.unit_arguments import unit_name

if TYPE_CHECKING:
    from inaetics.api.client import FleetClient
    from inaetics.api.events_wire import EventEntry
    from inaetics.errors import Unavailable

ROW = "{:<24} {:<12} {:<24} {:<10} {}"


@click.command("events")
@click.option("--follow", "-f", is_flag=True, help="Go on printing what happens until interrupted.")
@click.option("--unit", "-u", metavar="UNIT", default="", help="Only what happens to this unit.")
@click.option("--machine", metavar="NAME", default="", help="Only what happens on this machine (its name or id).")
@click.option("--kind", metavar="KIND", default="", help="Only this kind of event: failover, failed, placed …")
@click.option("--since", metavar="TIME", default="", help="Only what is younger: 10min, 2h, 1d.")
@click.option(
    "--lines",
    "-n",
    metavar="N",
    type=click.IntRange(0, 10_000),
    default=50,
    show_default=True,
    help="At most the last N of the past; with --since all.",
)
@click.option("--no-legend", is_flag=True, help="No header line, for scripts.")
@output_option
@pass_session
def command(
    session: Session,
    follow: bool,
    unit: str,
    machine: str,
    kind: str,
    since: str,
    lines: int,
    no_legend: bool,
    output: str,
) -> None:
    """Show what happened in the fleet, when, and why.

    A unit that was moved because its machine was lost has an event 'failover' once it runs again, with the milliseconds
    from the detection of the loss. A time with ≤ was read in the store's history afterwards. With --follow and
    --output json every line is one JSON object; when the API asked dies, another one goes on without a gap.

    \b
      fleetctl events
      fleetctl events --follow --unit felix@1
      fleetctl events --kind failover --since 1h
    """
    query: dict[str, str | int | float] = {"limit": lines}
    query |= {"unit": unit_name(unit)} if unit else {}
    query |= {"machine": machine} if machine else {}
    query |= {"kind": kind} if kind else {}
    if since:
        query |= {"since": time.time() - _seconds(since), "limit": 10_000}
    with session.client() as client:
        if follow:
            _follow(client, query, no_legend=no_legend, output=output)
        else:
            _list(session, client, query, no_legend=no_legend, output=output)


def _list(
    session: Session, client: FleetClient, query: dict[str, str | int | float], *, no_legend: bool, output: str
) -> None:
    from inaetics.api.events_client import events

    listed = events(client, **query)
    session.warn(client)
    if not listed.events:
        _say_why_none(client, query)
    if output == "json":
        print_json([record(event) for event in listed.events])
        return
    if listed.events and not no_legend:
        _print_legend()
    for event in listed.events:
        click.echo(row(event))


def _say_why_none(client: FleetClient, query: dict[str, str | int | float]) -> None:
    if unit := query.get("unit"):
        check_known(client, str(unit), "events")
    elif machine := query.get("machine"):
        say(f"no such events of machine {machine!r} are remembered (machines: fleetctl list-machines)")
    else:
        say("no such events are remembered")


def _follow(client: FleetClient, query: dict[str, str | int | float], *, no_legend: bool, output: str) -> None:
    import json

    from inaetics.api.events_client import follow

    broken: list[str] = []

    def broke(error: Unavailable) -> None:
        if not broken:
            say(f"warning: {error}; asking another API")
        broken.append(str(error))

    if output == "table" and not no_legend:
        _print_legend()
    for event in follow(client, broke=broke, **query):
        if broken:
            say("following again")
            broken.clear()
        click.echo(row(event) if output == "table" else json.dumps(record(event), ensure_ascii=False))
        sys.stdout.flush()


def _print_legend() -> None:
    click.echo(ROW.format("TIME (UTC)", "EVENT", "UNIT", "MACHINE", "WHAT").rstrip())


def row(event: EventEntry) -> str:
    """One event as a line."""
    from inaetics.api.events_client import what

    stamp = datetime.fromtimestamp(event.time, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    when = f"≤{stamp}" if event.clock == "later" else stamp
    return ROW.format(when, event.kind, event.unit or "-", event.machine or "-", what(event)).rstrip()


def _seconds(text: str) -> float:
    from inaetics.units.values import time_span

    return time_span(text)
