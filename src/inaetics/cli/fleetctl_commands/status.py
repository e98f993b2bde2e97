"""fleetctl status."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from inaetics.cli.common import output_option, print_json
from inaetics.cli.fleetctl_commands.arguments import units_argument
from inaetics.cli.fleetctl_commands.fields import record
from inaetics.cli.obsolete import ssh_port_option
from inaetics.cli.session import Session, pass_session
from inaetics.cli.unit_arguments import select
from inaetics.errors import InaeticsError

if TYPE_CHECKING:
    from inaetics.api.client import FleetClient
    from inaetics.api.wire import UnitEntry

LINES = 10
EVENTS = 5


@click.command("status")
@units_argument
@output_option
@ssh_port_option
@pass_session
def command(session: Session, units: tuple[str, ...], output: str) -> int:
    """Show how units are: where, since when, why, what happened last, and the last lines of their journals.

    Exit code 3 when one of them does not run, as systemctl has it.

    \b
      fleetctl status felix@1
      fleetctl status 'celix@*'
    """
    with session.client() as client:
        listed = {unit.name: unit for unit in client.units().units}
        chosen = [listed[name] for name in select(units, listed)]
        session.warn(client)
        if output == "json":
            print_json([record(unit) for unit in chosen])
        else:
            for position, unit in enumerate(chosen):
                click.echo("\n" * bool(position) + "\n".join(_lines(unit)))
                _print_events(client, unit)
                _print_journal(client, unit)
    return 0 if all(unit.active in ("active", "reloading", "activating") for unit in chosen) else 3


def _lines(unit: UnitEntry) -> list[str]:
    title = f"● {unit.name}" + (f" - {unit.description}" if unit.description else "")
    facts = {
        "Loaded": f"{unit.load or 'not loaded'} ({unit.hash[:7]})",
        "Image": _image(unit),
        "Active": _active(unit),
        "Wanted": f"{unit.desired}, is {unit.current}",
        "Machine": _machine(unit),
        "Placed": unit.placed,
        "Waits": unit.reason,
        "Message": unit.message,
    }
    return [title, *(f"{key:>9}: {value}" for key, value in facts.items() if value)]


def _image(unit: UnitEntry) -> str | None:
    """The tag that it follows, and the first digits of the digest that it keeps."""
    name, at, digest = (unit.image or "").partition("@sha256:")
    return f"{name}{at}{digest[:12]}" if digest else name and f"{name} (which digest it runs is not known yet)"


def _active(unit: UnitEntry) -> str:
    if unit.active is None:
        return "on every machine that fits (fleetctl list-units)" if unit.is_global else "inactive"
    result = f", {unit.result}" if unit.result and unit.result != "success" else ""
    return f"{unit.active} ({unit.sub}{result})" + (f" since {_time(unit.since)}" if unit.since else "")


def _machine(unit: UnitEntry) -> str | None:
    machine = unit.machine
    return f"{machine.name} ({machine.id}/{machine.address})" if machine else None


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%a %Y-%m-%d %H:%M:%S UTC")


def _print_events(client: FleetClient, unit: UnitEntry) -> None:
    from inaetics.api.events_client import events
    from inaetics.cli.fleetctl_commands.events import row

    try:
        told = [row(event) for event in events(client, unit=unit.name, limit=EVENTS).events]
    except InaeticsError as error:
        told = [f"(no events: {error})"]
    if told:
        click.echo("\n" + "\n".join(told))


def _print_journal(client: FleetClient, unit: UnitEntry) -> None:
    if unit.machine is None:
        return
    try:
        lines = list(client.journal(unit.name, lines=LINES))
    except InaeticsError as error:
        lines = [f"(no journal: {error})"]
    if lines:
        click.echo("\n" + "\n".join(lines))
