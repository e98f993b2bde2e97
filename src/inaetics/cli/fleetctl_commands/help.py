"""fleetctl help."""

from __future__ import annotations

import click


@click.command("help")
@click.argument("name", metavar="[COMMAND]", required=False)
@click.pass_context
def command(context: click.Context, name: str | None) -> None:
    """Print the help of a command, or of all.

    \b
      fleetctl help start
    """
    root = context.find_root()
    group = root.command
    assert isinstance(group, click.Group)
    if name is None:
        click.echo(root.get_help())
        return
    _, found, _ = group.resolve_command(root, [name])
    assert found is not None, "an unknown command is refused by its group"
    click.echo(found.get_help(click.Context(found, info_name=name, parent=root)))
