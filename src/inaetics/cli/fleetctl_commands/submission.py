"""What `submit`, `load` and `start` have in common: find each unit, submit what is new, say what is wanted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from inaetics.cli.common import say
from inaetics.cli.unit_arguments import Known, New, expand, local_file, resolve, unit_name

if TYPE_CHECKING:
    from inaetics.api.client import FleetClient
    from inaetics.api.wire import UnitEntry


def bring(client: FleetClient, arguments: Iterable[str], *, desired: str | None, replace: bool) -> list[str]:
    """Make every unit known and `desired`; returns their names.

    Everything is looked up before anything is changed, so that a name that means nothing changes nothing.
    """
    stored = {unit.name: unit for unit in client.units().units}
    hashes = {name: unit.hash for name, unit in stored.items()}
    found = [
        _replaced(argument, stored) if replace else resolve(argument, hashes, lambda name: client.unit(name).text)
        for argument in expand(arguments)
    ]
    for unit in found:
        _bring_one(client, unit, stored.get(unit.name), desired=desired, replace=replace)
    return [unit.name for unit in found]


def _replaced(argument: str, stored: dict[str, UnitEntry]) -> Known | New:
    """With `--replace` the file counts, whatever is stored."""
    file = local_file(argument)
    if file is None:
        raise click.UsageError(f"--replace needs a file, and there is none for {argument!r}")
    return New(name=unit_name(argument), text=file.text, origin=str(file.path))


def _bring_one(
    client: FleetClient, unit: Known | New, before: UnitEntry | None, *, desired: str | None, replace: bool
) -> None:
    if isinstance(unit, New):
        client.submit(unit.name, unit.text, desired=desired, replace=replace)
        return
    if unit.differs is not None:
        say(
            f"warning: unit {unit.name} is submitted with other content than {unit.differs}; the submitted one counts"
            f" (take the file: fleetctl submit --replace {unit.differs})"
        )
    if desired is not None and (before is None or before.desired != desired):
        client.set_desired(unit.name, desired)
