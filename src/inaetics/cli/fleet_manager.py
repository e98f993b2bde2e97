"""inaetics_fleet_manager: the INAETICS demonstrator as a whole, with the options of the original script."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from inaetics.cli.common import cluster_option, run
from inaetics.cli.session import Session, tls_options
from inaetics.override import override

ACTIONS = {
    "start": "One provisioning server, and agents; again with other numbers scales up or down.",
    "stop": "Stop and forget the agents and the provisioning server.",
    "status": "Show the machines, where everything runs, and the page's address.",
    "reset": "As --stop, then restart the workers.",
    "reboot": "Restart the workers; what ran there runs again.",
    "shutdown": "Switch the workers off (on again: inaetics up).",
}


class Agents(click.ParamType[int]):
    """A number of agents."""

    name = "N"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read it; says what is wrong with it otherwise."""
        text = str(value)
        if not text.isascii() or not text.isdecimal():
            self.fail(f"{text!r} is no number of agents: give 0 or more, such as 2", param, ctx)
        return int(text)


def actions(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add an option for each action; exactly one is to be given."""
    for name, text in reversed(ACTIONS.items()):
        command = click.option(f"--{name}", name, is_flag=True, help=text)(command)
    return command


@click.command("inaetics_fleet_manager", context_settings={"help_option_names": ["-h", "--help"]})
@actions
@click.option("--celixAgents", "celix", type=Agents(), help="With --start: how many celix agents; 2 unless given.")
@click.option("--felixAgents", "felix", type=Agents(), help="With --start: how many felix agents; 2 unless given.")
@click.option(
    "--unitFilesPath",
    "unit_files",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="With --start: where the unit files are; else those of the system.",
)
@click.option("--output", type=click.Choice(["table", "json"]), default="table", help="With --status.")
@click.option("--endpoint", metavar="URL", envvar="FLEETCTL_ENDPOINT", help="The fleet API; else the cluster's own.")
@cluster_option
@tls_options
@click.version_option(
    package_name="inaetics-cluster", prog_name="inaetics_fleet_manager", message="%(prog)s version %(version)s"
)
def fleet_manager(celix: int | None, felix: int | None, unit_files: Path | None, output: str, **options: Any) -> int:
    """Start, scale, stop and show the INAETICS demonstrator.

    \b
      inaetics_fleet_manager --start                                  1 provisioning server, 2 felix, 2 celix
      inaetics_fleet_manager --start --celixAgents=4 --felixAgents=4  scale up
      inaetics_fleet_manager --start --celixAgents=1 --felixAgents=2  scale down
      inaetics_fleet_manager --status
      inaetics_fleet_manager --stop

    More agents than the workers can hold are submitted all the same: each waits with its reason, and starts when
    there is room.
    """
    action = _action(options)
    if action != "start" and (celix, felix, unit_files) != (None, None, None):
        raise click.UsageError("--celixAgents, --felixAgents and --unitFilesPath go with --start")
    session = Session.of(options)
    from inaetics.cli import manage

    match action:
        case "start":
            return manage.start(session, 2 if celix is None else celix, 2 if felix is None else felix, unit_files)
        case "stop":
            return manage.stop(session)
        case "status":
            return manage.status(session, output)
        case "reset":
            return manage.stop(session) or manage.reboot(session)
        case "reboot":
            return manage.reboot(session)
        case _:
            return manage.shutdown(session)


def _action(options: dict[str, Any]) -> str:
    """Take the actions out of the options; exactly one must be given."""
    given = [name for name in ACTIONS if options.pop(name)]
    if len(given) != 1:
        every = " ".join(f"--{name}" for name in ACTIONS)
        raise click.UsageError(f"give one of {every}" + (f", not {len(given)}" if given else ""))
    return given[0]


def main() -> None:
    """Run inaetics_fleet_manager as a program."""
    run(fleet_manager, "inaetics_fleet_manager")
