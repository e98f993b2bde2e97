"""fleetctl list-machines."""

from __future__ import annotations

import click

from inaetics.api.wire import MachineEntry
from inaetics.cli.common import print_json
from inaetics.cli.listings import Field, listing_options, print_fields, record, short_id
from inaetics.cli.session import Session, pass_session


def _metadata(machine: MachineEntry, full: bool) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(machine.metadata.items()))


FIELDS: dict[str, Field[MachineEntry]] = {
    "machine": lambda machine, full: short_id(machine.id, full),
    "ip": lambda machine, full: machine.address,
    "metadata": _metadata,
    "name": lambda machine, full: machine.name,
    "units": lambda machine, full: str(machine.units),
    "state": lambda machine, full: "draining" if machine.draining else "cordoned" if machine.cordoned else "",
    "memory": lambda machine, full: f"{machine.memory / (1 << 30):.1f}G" if machine.memory is not None else "",
    "cores": lambda machine, full: f"{machine.cores:g}" if machine.cores is not None else "",
    "version": lambda machine, full: machine.version,
}


@click.command("list-machines")
@listing_options(FIELDS, "machine,ip,metadata")
@pass_session
def command(session: Session, fields: str, full: bool, no_legend: bool, output: str) -> None:
    """Show the machines that are alive now.

    \b
      fleetctl list-machines
      fleetctl list-machines --no-legend --full
      fleetctl list-machines --fields=name,ip,units
    """
    with session.client() as client:
        machines = client.machines()
        session.warn(client)
    if output == "json":
        print_json([record(machine) for machine in machines])
    else:
        print_fields(machines, FIELDS, fields, full=full, no_legend=no_legend)
