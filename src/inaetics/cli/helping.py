"""`inaetics help`, `fleetctl help`: the same as --help behind the command, for those whose fingers know it so."""

from __future__ import annotations

import click

from inaetics.cli.common import nearest


@click.command("help")
@click.argument("names", metavar="[COMMAND]...", nargs=-1)
@click.pass_context
def command(context: click.Context, names: tuple[str, ...]) -> None:
    """Print the help of a command, or of all; the same as --help behind it.

    \b
      inaetics help etcd snapshot
      fleetctl help start
    """
    found = context.find_root()
    for name in names:
        group = found.command
        if not isinstance(group, click.Group):
            raise click.UsageError(f"{found.command_path!r} has no commands of its own", found)
        below = group.get_command(found, name)
        if below is None:
            raise click.UsageError(f"no such command: {name!r}{nearest(name, group.list_commands(found))}", found)
        found = click.Context(below, info_name=name, parent=found)
    click.echo(found.get_help())
