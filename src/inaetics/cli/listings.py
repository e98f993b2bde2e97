"""What listings share: choosing columns, shortening, printing as the original did."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from inaetics.cli.common import nearest, output_option
from inaetics.cli.tabs import tab_lines
from inaetics.errors import InvalidInput

if TYPE_CHECKING:
    from inaetics.api.wire import MachineRef

Row = TypeVar("Row")
Command = TypeVar("Command", bound=Callable[..., Any])
Field = Callable[[Row, bool], str]
"""Shows one column of a row; the flag says to show it in full length."""

SHORT_ID = 8
SHORT_HASH = 7


def listing_options(fields: Iterable[str], default: str) -> Callable[[Command], Command]:
    """Add `--fields`, `--full/-l`, `--no-legend` and `--output` to a listing."""
    chosen = click.option(
        "--fields", default=default, show_default=True, help=f"Columns, with commas: {', '.join(sorted(fields))}."
    )
    full = click.option("--full", "-l", is_flag=True, help="Do not shorten ids and hashes.")
    no_legend = click.option("--no-legend", is_flag=True, help="No header line, for scripts.")

    def add(command: Command) -> Command:
        return chosen(full(no_legend(output_option(command))))

    return add


def print_fields(
    rows: Sequence[Row], known: Mapping[str, Field[Row]], fields: str, *, full: bool, no_legend: bool
) -> None:
    """Print the columns named in `fields`; raises `InvalidInput` for one that does not exist."""
    columns = [_column(name.strip().lower(), known) for name in fields.split(",")]
    lines = [] if no_legend else [[name.upper() for name, _ in columns]]
    lines += [[show(row, full) for _, show in columns] for row in rows]
    for line in tab_lines(lines) if lines else ():
        click.echo(line)


def _column(name: str, known: Mapping[str, Field[Row]]) -> tuple[str, Field[Row]]:
    if name not in known:
        raise InvalidInput(f"no such field: {name!r}{nearest(name, known)}; there are: {', '.join(sorted(known))}")
    return name, known[name]


def short_id(machine_id: str, full: bool) -> str:
    """`148a18ff...`, as the original, or all of it."""
    return machine_id if full else f"{machine_id[:SHORT_ID]}..."


def legend(machine: MachineRef | None, full: bool) -> str:
    """`148a18ff.../127.17.8.101`: a machine as the original names it."""
    if machine is None:
        return "-"
    return f"{short_id(machine.id, full)}/{machine.address}" if machine.address else short_id(machine.id, full)


def short_hash(digest: str, full: bool) -> str:
    """The first seven digits of a hash, or all of it."""
    return digest if full else digest[:SHORT_HASH]


def record(entity: object) -> object:
    """An entity of the API as plain values, for JSON."""
    import msgspec

    return msgspec.to_builtins(entity)
