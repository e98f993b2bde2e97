"""What the commands about machines have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlencode

import click

from inaetics.errors import InvalidInput

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from inaetics.api.client import FleetClient
    from inaetics.api.machines_wire import MachineChange, MachineDetail, MachineWritten

Command = TypeVar("Command", bound=Callable[..., Any])

HOLD_S = 5.0
"""How long one request is held."""


def machine_argument(command: Command) -> Command:
    """Add one `MACHINE`: a host's name, an id, or the beginning of one; shells complete names."""
    return click.argument("machine", metavar="MACHINE", shell_complete=complete_machines)(command)


def at_once_option(command: Command) -> Command:
    """Add `--at-once`."""
    option = click.option(
        "--at-once",
        metavar="N",
        type=click.IntRange(1, 1000),
        default=1,
        show_default=True,
        help="How many units may be on their way together.",
    )
    return option(command)


def change(client: FleetClient, machine: str, what: MachineChange) -> MachineWritten:
    """Say something of a machine; raises NotFound, Conflict when several are meant, InvalidInput."""
    from inaetics.api.machines_wire import MachineWritten

    return client.send_as("PATCH", _path(machine), what, MachineWritten)


def detail(client: FleetClient, machine: str, *, after: int | None = None) -> MachineDetail:
    """One machine with what is left on it; with `after`, as soon as something newer is known."""
    from inaetics.api.machines_wire import MachineDetail

    if after is None:
        return client.get_as(_path(machine), MachineDetail)
    query = urlencode({"after": after, "wait_s": HOLD_S})
    return client.get_as(f"{_path(machine)}?{query}", MachineDetail, wait_s=HOLD_S)


def forget(client: FleetClient, machine: str) -> MachineWritten:
    """Forget a machine that is not there; raises NotFound, Conflict when it is."""
    from inaetics.api.machines_wire import MachineWritten

    return client.send_as("DELETE", _path(machine), None, MachineWritten)


def _path(machine: str) -> str:
    if machine in ("", ".", ".."):  # in a path of the API they mean something else
        raise InvalidInput(f"{machine!r} names no machine (what there is: fleetctl list-machines)")
    return f"/inaetics/v1/machines/{quote(machine, safe='')}"


def complete_machines(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of machines; nothing when no API answers."""
    from click.shell_completion import CompletionItem

    from inaetics.cli.fleetctl_commands.arguments import session_of
    from inaetics.cli.session import Session
    from inaetics.errors import InaeticsError

    try:
        with (context.find_object(Session) or session_of(context)).client() as client:
            machines = client.machines()
    except InaeticsError:
        return []
    return [
        CompletionItem(machine.name, help=machine.address)
        for machine in machines
        if machine.name.startswith(incomplete)
    ]
