"""fleetctl explain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from inaetics.cli.common import output_option, print_json
from inaetics.cli.explaining import explanation_lines, states_lines
from inaetics.cli.fleetctl_commands.arguments import unit_argument
from inaetics.cli.listings import record
from inaetics.cli.session import Session, pass_session
from inaetics.cli.unit_arguments import unit_name

if TYPE_CHECKING:
    from inaetics.api.wire import ExplainReport


@click.command("explain")
@unit_argument
@output_option
@pass_session
def command(session: Session, unit: str, output: str) -> None:
    """Say why a unit is where it is, or waits: what every machine says to every constraint, and what would help.

    \b
      fleetctl explain felix@4.service
    """
    with session.client() as client:
        report = client.explain(unit_name(unit))
        session.warn(client)
    if output == "json":
        print_json(record(report))
    else:
        _print(report)


def _print(report: ExplainReport) -> None:
    click.echo(f"{report.unit}: {report.summary}")
    for line in states_lines(report):
        click.echo(f"  {line}")
    if report.image:
        click.echo(f"  image: {report.image}")
    if lines := list(explanation_lines(report)):
        click.echo("\n" + "\n".join(lines))
