"""fleetctl verify."""

from __future__ import annotations

import click

from inaetics.cli.common import show_error
from inaetics.cli.fleetctl_commands.arguments import files_argument
from inaetics.cli.session import Session, pass_session
from inaetics.cli.unit_arguments import expand, local_file, refuse_odd_file, unit_name
from inaetics.errors import InvalidInput, NotFound


@click.command("verify")
@files_argument
@pass_session
def command(session: Session, units: tuple[str, ...]) -> int:
    """Check unit files as 'submit' would, without submitting them. A name that is no file is looked up in the cluster.

    Exit code 2 when one is refused, with its line and directive; 4 when one is neither a file nor submitted.

    \b
      fleetctl verify hello.service units/*.container
    """
    from inaetics.fleet.submission import check_submission

    code = 0
    for argument in expand(units):
        try:
            check_submission(unit_name(argument), _text(session, argument))
        except (InvalidInput, NotFound) as error:
            code = max(code, show_error(error))
        else:
            click.echo(f"{argument}: ok")
    return code


def _text(session: Session, argument: str) -> str:
    file = local_file(argument)
    if file is not None:
        return file.text
    refuse_odd_file(argument)
    with session.client() as client:
        return client.unit(unit_name(argument)).text
