"""fleetctl list-units."""

from __future__ import annotations

import click

from inaetics.api.wire import StateEntry
from inaetics.cli.common import print_json, say
from inaetics.cli.fleetctl_commands.arguments import filter_argument
from inaetics.cli.listings import (
    Field,
    legend,
    listing_options,
    print_fields,
    record,
    short_hash,
)
from inaetics.cli.session import Session, pass_session
from inaetics.cli.unit_arguments import matches

FIELDS: dict[str, Field[StateEntry]] = {
    "unit": lambda state, full: state.name,
    "machine": lambda state, full: legend(state.machine, full),
    "load": lambda state, full: state.load,
    "active": lambda state, full: state.active,
    "sub": lambda state, full: state.sub,
    "hash": lambda state, full: short_hash(state.hash, full),
    "image": lambda state, full: short_hash(state.image.removeprefix("sha256:"), full),
    "host": lambda state, full: state.machine.name,
    "message": lambda state, full: state.message,
}


@click.command("list-units")
@filter_argument
@listing_options(FIELDS, "unit,machine,active,sub")
@pass_session
def command(session: Session, units: tuple[str, ...], fields: str, full: bool, no_legend: bool, output: str) -> None:
    """Show the units that machines have, and how they are there.

    'pulling' means that the unit's image is fetched; the field 'message' says how much of it is there, the field
    'image' which one a unit runs.

    A unit that waits for a machine is not in this list: 'fleetctl list-unit-files' shows it, 'fleetctl explain' says
    why it waits.

    \b
      fleetctl list-units
      fleetctl list-units 'felix@*'
      fleetctl list-units --no-legend --full
      fleetctl list-units --fields=unit,host,active
      fleetctl list-units --fields=unit,host,sub,image,message
    """
    with session.client() as client:
        listed = client.states()
        session.warn(client)
    states = [state for state in listed.states if matches(units, state.name)]
    if output == "json":
        print_json([record(state) for state in states])
        return
    print_fields(states, FIELDS, fields, full=full, no_legend=no_legend)
    if waiting := tuple(name for name in listed.waiting if matches(units, name)):
        say(_waiting(waiting))


def _waiting(names: tuple[str, ...]) -> str:
    some = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    return f"waiting for a machine: {some} (why: fleetctl explain {names[0]})"
