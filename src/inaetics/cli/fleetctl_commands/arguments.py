"""Arguments and options that several commands take."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

Command = TypeVar("Command", bound=Callable[..., Any])


def units_argument(command: Command) -> Command:
    """Add `UNIT...`, names or globs of submitted units; shells complete them."""
    return click.argument("units", metavar="UNIT...", nargs=-1, required=True, shell_complete=complete_units)(command)


def filter_argument(command: Command) -> Command:
    """Add `[UNIT...]`: which rows of a listing to show; none means all."""
    return click.argument("units", metavar="[UNIT...]", nargs=-1, shell_complete=complete_units)(command)


def unit_argument(command: Command) -> Command:
    """Add one `UNIT`."""
    return click.argument("unit", metavar="UNIT", shell_complete=complete_units)(command)


def files_argument(command: Command) -> Command:
    """Add `UNIT...`, names or files; shells complete both."""
    return click.argument("units", metavar="UNIT...", nargs=-1, required=True, shell_complete=complete_both)(command)


def blocking_options(command: Command) -> Command:
    """Add `--no-block` and `--block-attempts`."""
    attempts = click.option(
        "--block-attempts",
        metavar="N",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        help="Wait at most N half seconds; 0: as long as it takes.",
    )
    return click.option("--no-block", is_flag=True, help="Do not wait.")(attempts(command))


def complete_units(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of submitted units; nothing when no API answers."""
    from click.shell_completion import CompletionItem

    from inaetics.cli.session import Session
    from inaetics.errors import InaeticsError

    try:
        session = context.find_object(Session) or session_of(context)
        with session.client() as client:
            units = client.units().units
    except InaeticsError:
        return []
    return [CompletionItem(unit.name, help=unit.description) for unit in units if unit.name.startswith(incomplete)]


def complete_both(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of submitted units, and files."""
    from click.shell_completion import CompletionItem

    return [*complete_units(context, parameter, incomplete), CompletionItem(incomplete, type="file")]


def session_of(context: click.Context) -> Any:
    """While a shell completes, the group's own function is not called: read its options here."""
    from inaetics.cli.session import Session
    from inaetics.cli.tunnel_options import tunnel_of

    options = tunnel_of(context.find_root().params, asking=False)
    return Session(**{key: value for key, value in options.items() if key in Session.__dataclass_fields__})
