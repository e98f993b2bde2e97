"""fleetctl completion."""

from __future__ import annotations

import click


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the completion script of a shell: commands, options, and the names of units.

    \b
      eval "$(fleetctl completion bash)"                              in ~/.bashrc
      eval "$(fleetctl completion zsh)"                               in ~/.zshrc
      fleetctl completion fish > ~/.config/fish/completions/fleetctl.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"no completion for {shell}")
    group = context.find_root().command
    click.echo(kind(group, {}, "fleetctl", "_FLEETCTL_COMPLETE").source())
