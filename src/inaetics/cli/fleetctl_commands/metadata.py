"""fleetctl metadata."""

from __future__ import annotations

import click

from inaetics.cli.fleetctl_commands.machine_arguments import change, detail, machine_argument
from inaetics.cli.session import Session, pass_session


@click.command("metadata")
@machine_argument
@click.argument("edits", metavar="[KEY=VALUE | KEY-]...", nargs=-1)
@pass_session
def command(session: Session, machine: str, edits: tuple[str, ...]) -> None:
    """Show or change a machine's metadata, which MachineMetadata= and SpreadBy= of units read.

    KEY=VALUE sets a key, KEY- takes it away. It takes effect at once, and outlives the machine's restarts: units that
    may not be there any more move, when another machine fits.

    \b
      fleetctl metadata worker-2
      fleetctl metadata worker-2 zone=a disk=ssd
      fleetctl metadata worker-2 zone-
    """
    from inaetics.api.machines_wire import MachineChange

    wanted = dict(map(_edit, edits))
    with session.client() as client:
        if wanted:
            change(client, machine, MachineChange(metadata=wanted))
        shown = detail(client, machine)
    if shown.machine is None:
        click.echo(f"{shown.name} is not there; it will be so when it returns")
        return
    for key, value in sorted(shown.machine.metadata.items()):
        click.echo(f"{key}={value}")


def _edit(word: str) -> tuple[str, str | None]:
    key, equals, value = word.partition("=")
    if equals and key:
        return key, value
    if word.endswith("-") and len(word) > 1:
        return word[:-1], None
    raise click.UsageError(f"{word!r} is neither KEY=VALUE nor KEY-")
