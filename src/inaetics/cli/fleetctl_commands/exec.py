"""fleetctl exec."""

from __future__ import annotations

import sys

import click

from inaetics.cli.fleetctl_commands.arguments import unit_argument
from inaetics.cli.session import Session, pass_session
from inaetics.cli.unit_arguments import unit_name


@click.command("exec", context_settings={"allow_interspersed_args": False})
@click.option("--interactive", "-i", is_flag=True, help="Send our standard input to the command.")
@click.option("--machine", metavar="MACHINE", help="Which machine, for a global unit: a name, or the start of an id.")
@unit_argument
@click.argument("words", metavar="CMD [ARG]...", nargs=-1, required=True, type=click.UNPROCESSED)
@pass_session
def command(session: Session, unit: str, words: tuple[str, ...], interactive: bool, machine: str | None) -> int:
    """Run a command where a unit runs: in its container, or with its service's environment, directory and user.

    The exit code is the command's. What it leaves behind ends with it, and so does the command itself when this is
    interrupted. There is no terminal: programs that draw on one are for 'fleetctl ssh'. Options of ours come before
    UNIT.

    \b
      fleetctl exec felix@1 env
      fleetctl exec hello.service sh -c 'echo $HOME; ls'
      tar c . | fleetctl exec -i felix@2 tar x -C /tmp
    """
    from inaetics.api.exec_client import run_in_unit
    from inaetics.fleet.frames import Kind

    def write(kind: Kind, data: bytes) -> None:
        stream = sys.stdout.buffer if kind is Kind.STDOUT else sys.stderr.buffer
        stream.write(data)
        stream.flush()

    endpoints, tls = session.way()
    return run_in_unit(
        endpoints,
        tls,
        unit_name(unit),
        words[1:] if words[0] == "--" else words,
        machine=machine,
        stdin=sys.stdin.fileno() if interactive else None,
        output=write,
        timeout_s=session.request_timeout,
        tunnel=session.tunnel,
    )
