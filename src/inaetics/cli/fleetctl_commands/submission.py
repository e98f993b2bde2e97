"""What the verbs that change units have in common: find each unit, submit what is new, say what is wanted of all.

A thousand units are one request.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING

import click

from inaetics.cli.common import say
from inaetics.cli.unit_arguments import Known, New, expand, is_glob, local_file, resolve, select, unit_name
from inaetics.errors import Conflict, NotFound
from inaetics.units.names import parse_name

if TYPE_CHECKING:
    from inaetics.api.client import FleetClient
    from inaetics.api.wire import BatchEntry, UnitEntry

_FEW = 50
"""So many units are asked for by name; for more the whole list costs less."""


def bring(client: FleetClient, arguments: Iterable[str], *, desired: str | None, replace: bool) -> list[str]:
    """Make every unit known and `desired`; returns their names.

    Everything is looked up before anything is changed, so that a name that means nothing changes nothing.
    """
    wanted = spelled_out(client, arguments)
    stored = stored_units(client, wanted)
    hashes = {name: unit.hash for name, unit in stored.items()}
    texts = cache(lambda name: client.unit(name).text)  # of a template once for all its instances
    found = [_replaced(argument, stored) if replace else resolve(argument, hashes, texts) for argument in wanted]
    asked = [entry for unit in found if (entry := _entry(unit, stored.get(unit.name), desired, replace)) is not None]
    submit_all(client, asked)
    return [unit.name for unit in found]


def spelled_out(client: FleetClient, arguments: Iterable[str]) -> list[str]:
    """Expand `arguments`, each once: ranges, and globs to the submitted units they match, but no template: none runs.

    Raises `NotFound` for a glob that matches none.
    """
    wanted = expand(arguments)
    if not any(map(is_glob, wanted)):
        return wanted
    known = [unit.name for unit in client.units().units if not parse_name(unit.name).is_template]
    return list(dict.fromkeys(one for each in wanted for one in (select([each], known) if is_glob(each) else [each])))


def stored_units(client: FleetClient, arguments: Sequence[str]) -> dict[str, UnitEntry]:
    """The submitted units that `arguments` (names or files) may mean, and their templates, by name.

    A few are asked for by name: to start one unit must not cost more because there are a thousand others.
    """
    names = {unit_name(argument) for argument in arguments}
    names |= {parsed.template for parsed in map(parse_name, names) if parsed.is_instance}
    if not names:
        return {}
    listed = client.changes(sorted(names)) if len(names) <= _FEW else client.units()
    return {unit.name: unit for unit in listed.units}


def known_units(client: FleetClient, names: Sequence[str]) -> list[UnitEntry]:
    """What is known of submitted units, in this order; not of one that somebody has destroyed meanwhile."""
    stored = stored_units(client, names)
    return [stored[name] for name in names if name in stored]


def check_known(client: FleetClient, name: str, what: str) -> None:
    """Raise `NotFound` for a unit that is not submitted: there is none of `what` because nobody knows it."""
    if name not in stored_units(client, [name]):
        raise NotFound(f"no unit {name!r} is submitted, and no {what} of it are remembered (fleetctl list-unit-files)")
    say(f"no {what} of {name} are remembered")


def submit_all(client: FleetClient, entries: Sequence[BatchEntry]) -> None:
    """Have all entries done; raises `Conflict` that names those which somebody else's change prevented."""
    from inaetics.api.wire import ErrorBody

    refused = [result.error for result in client.submit_many(entries) if isinstance(result.error, ErrorBody)]
    if refused:
        raise Conflict("; ".join(error.message for error in refused))


def ask_all(client: FleetClient, names: Iterable[str], desired: str) -> None:
    """Say of all of `names` what is wanted."""
    from inaetics.api.wire import BatchEntry

    submit_all(client, [BatchEntry(name=name, desired=desired) for name in names])


def destroy_all(client: FleetClient, names: Iterable[str]) -> None:
    """Have all of `names` forgotten."""
    from inaetics.api.wire import BatchEntry

    submit_all(client, [BatchEntry(name=name, destroy=True) for name in names])


def _replaced(argument: str, stored: dict[str, UnitEntry]) -> Known | New:
    """With `--replace` the file counts, whatever is stored."""
    name = unit_name(argument)
    file = local_file(argument)
    if file is None:
        raise click.UsageError(f"--replace needs a file, and there is none for {argument!r}")
    return New(name=name, text=file.text, origin=str(file.path))


def _entry(unit: Known | New, before: UnitEntry | None, desired: str | None, replace: bool) -> BatchEntry | None:
    """What to ask of the API; None where everything is as it is to be."""
    from inaetics.api.wire import BatchEntry

    if isinstance(unit, New):
        return BatchEntry(name=unit.name, text=unit.text, desired=desired, replace=replace)
    if unit.differs is not None:
        say(
            f"warning: unit {unit.name} is submitted with other content than {unit.differs}; the submitted one counts"
            f" (take the file: fleetctl submit --replace {unit.differs})"
        )
    if desired is None or (before is not None and before.desired == desired):
        return None
    return BatchEntry(name=unit.name, desired=desired)
