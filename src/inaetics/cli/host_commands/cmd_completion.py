"""`inaetics completion`."""

from __future__ import annotations

import click

PROGRAMS = ("inaetics", "fleetctl", "inaetics_fleet_manager")


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print what a shell has to read so that Tab completes the three commands.

    \b
      bash:  source <(inaetics completion bash)        in ~/.bashrc
      zsh:   source <(inaetics completion zsh)         in ~/.zshrc
      fish:  inaetics completion fish | source         in ~/.config/fish/config.fish
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"no completion for {shell}")
    for program in PROGRAMS:
        variable = f"_{program}_COMPLETE".upper()
        click.echo(found(click.Command(program), {}, program, variable).source())
