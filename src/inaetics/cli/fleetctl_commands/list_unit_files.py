"""fleetctl list-unit-files."""

from __future__ import annotations

import click

from inaetics.api.wire import UnitEntry
from inaetics.cli.common import print_json
from inaetics.cli.fleetctl_commands.arguments import filter_argument
from inaetics.cli.listings import Field, legend, listing_options, print_fields, record, short_hash
from inaetics.cli.session import Session, pass_session
from inaetics.cli.unit_arguments import matches


def _target(unit: UnitEntry, full: bool) -> str:
    return "global" if unit.is_global else legend(unit.machine, full)


FIELDS: dict[str, Field[UnitEntry]] = {
    "unit": lambda unit, full: unit.name,
    "hash": lambda unit, full: short_hash(unit.hash, full),
    "dstate": lambda unit, full: unit.desired,
    "state": lambda unit, full: "-" if unit.is_global else unit.current,
    "target": _target,
    "tmachine": _target,
    "global": lambda unit, full: str(unit.is_global).lower(),
    "desc": lambda unit, full: unit.description,
    "reason": lambda unit, full: unit.reason or "-",
}


@click.command("list-unit-files")
@filter_argument
@listing_options(FIELDS, "unit,hash,dstate,state,target")
@pass_session
def command(session: Session, units: tuple[str, ...], fields: str, full: bool, no_legend: bool, output: str) -> None:
    """Show every submitted unit: what is wanted of it, what it is, and the machine it is given to.

    \b
      fleetctl list-unit-files
      fleetctl list-unit-files 'celix@*'
      fleetctl list-unit-files --fields=unit,dstate,reason    why units wait
    """
    with session.client() as client:
        listed = client.units().units
        session.warn(client)
    entries = [entry for entry in listed if matches(units, entry.name)]
    if output == "json":
        print_json([record(entry) for entry in entries])
    else:
        print_fields(entries, FIELDS, fields, full=full, no_legend=no_legend)
