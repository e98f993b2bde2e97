"""fleetctl submit."""

from __future__ import annotations

import click

from inaetics.cli.fleetctl_commands.arguments import files_argument
from inaetics.cli.fleetctl_commands.submission import submit_all
from inaetics.cli.obsolete import sign_option
from inaetics.cli.session import Session, pass_session
from inaetics.cli.unit_arguments import expand, file_of, unit_name


@click.command("submit")
@files_argument
@click.option("--replace", is_flag=True, help="Take the file, also where other content is submitted.")
@sign_option
@pass_session
def command(session: Session, units: tuple[str, ...], replace: bool) -> None:
    """Store unit files in the cluster. Nothing is started; a template's instances can be from now on.

    The same file again changes nothing. Another file under a submitted name is refused unless --replace is given;
    what runs is then restarted with it at once, whatever comes of it ('fleetctl update' takes care of that).

    \b
      fleetctl submit hello.service
      fleetctl submit units/*.container        X.container is submitted as X.service
      fleetctl submit --replace felix@.container
    """
    from inaetics.api.wire import BatchEntry

    units_of = {unit_name(argument): file_of(argument).text for argument in expand(units)}
    with session.client() as client:
        submit_all(client, [BatchEntry(name=name, text=text, replace=replace) for name, text in units_of.items()])
        click.echo("\n".join(f"Submitted {name}" for name in units_of))
