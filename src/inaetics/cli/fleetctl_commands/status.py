"""fleetctl status."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from inaetics.cli.common import output_option, print_json, show_error
from inaetics.cli.fleetctl_commands.arguments import units_argument
from inaetics.cli.listings import record
from inaetics.cli.obsolete import ssh_port_option
from inaetics.cli.session import Session, pass_session
from inaetics.cli.unit_arguments import expand, select
from inaetics.cli.unit_status import Status
from inaetics.errors import InaeticsError, NotFound

if TYPE_CHECKING:
    from inaetics.api.client import FleetClient
    from inaetics.api.wire import ExplainReport, UnitEntry

LINES = 10
EVENTS = 5
NOT_RUNNING = 3
_EXPLAINED = 20
"""So many units that wait have the verdicts of the machines shown; they mostly wait for the same."""


@click.command("status")
@units_argument
@output_option
@ssh_port_option
@pass_session
def command(session: Session, units: tuple[str, ...], output: str) -> int:
    """Show how units are: where, since when, why, what happened last, and the last lines of their journals.

    Of a unit that waits, what every machine says to it and what would help; of a global one, how it is on each machine.
    Exit code 3 when one of them does not run, 4 when one is not known, as systemctl has it.

    \b
      fleetctl status felix@1
      fleetctl status 'celix@*'
    """
    with session.client() as client:
        listed = {unit.name: unit for unit in client.units().units}
        names, unknown = _known(units, listed)
        session.warn(client)
        statuses = list(_statuses(client, [listed[name] for name in names]))
        if output == "json":
            print_json([_record(status) for status in statuses])
        else:
            for position, status in enumerate(statuses):
                click.echo("\n" * bool(position) + "\n".join(status.lines()))
                _print_events(client, status.unit)
                _print_journals(client, status)
    code = 0 if all(status.runs for status in statuses) else NOT_RUNNING
    return max([code, *map(show_error, unknown)])


def _known(patterns: Sequence[str], listed: dict[str, UnitEntry]) -> tuple[list[str], list[NotFound]]:
    """The units that are meant, each once; and what is to be said of names that mean none."""
    names: dict[str, None] = {}
    unknown: list[NotFound] = []
    for pattern in expand(patterns):
        try:
            names |= dict.fromkeys(select([pattern], listed))
        except NotFound as error:
            unknown.append(error)
    return list(names), unknown


def _statuses(client: FleetClient, units: Sequence[UnitEntry]) -> Iterator[Status]:
    states = client.states().states if any(unit.is_global for unit in units) else ()
    explained = 0
    for unit in units:
        if unit.is_global:
            # A machine that is gone has no name any more.
            own = [state for state in states if state.name == unit.name and state.machine.name]
            yield Status(unit=unit, states=own, report=_explained(client, unit))
        elif unit.waits and explained < _EXPLAINED:
            explained += 1
            yield Status(unit=unit, report=_explained(client, unit))
        else:
            yield Status(unit=unit)


def _explained(client: FleetClient, unit: UnitEntry) -> ExplainReport | None:
    """None for a unit that was destroyed meanwhile."""
    try:
        return client.explain(unit.name)
    except NotFound:
        return None


def _record(status: Status) -> object:
    found = record(status.unit)
    assert isinstance(found, dict)
    if status.unit.is_global:
        found["states"] = record(list(status.states))
        found["missing"] = list(status.missing)
    return found


def _print_events(client: FleetClient, unit: UnitEntry) -> None:
    from inaetics.api.events_client import events
    from inaetics.cli.fleetctl_commands.events import row

    try:
        told = [row(event) for event in events(client, unit=unit.name, limit=EVENTS).events]
    except InaeticsError as error:
        told = [f"(no events: {error})"]
    if told:
        click.echo("\n" + "\n".join(told))


def _print_journals(client: FleetClient, status: Status) -> None:
    """The last lines, of a global unit from each of its machines."""
    machines = [status.unit.machine, *(state.machine for state in status.states)]
    for machine in filter(None, machines):
        try:
            at = machine.id if status.states else None
            lines = list(client.journal(status.unit.name, lines=LINES, machine=at))
        except InaeticsError as error:
            lines = [f"(no journal: {error})"]
        if lines:
            title = [f"{status.unit.name} on {machine.name}:"] if status.states else []
            click.echo("\n" + "\n".join([*title, *lines]))
