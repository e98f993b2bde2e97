"""fleetctl restart."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from inaetics.cli.common import say
from inaetics.cli.fleetctl_commands.arguments import blocking_options, units_argument
from inaetics.cli.session import Session, pass_session
from inaetics.cli.triggering import triggered
from inaetics.cli.unit_arguments import select
from inaetics.cli.verdicts import judge_restart, judge_start
from inaetics.cli.waiting import FAILED, WAITING, wait_for
from inaetics.errors import Conflict, InaeticsError

if TYPE_CHECKING:
    from inaetics.api.client import FleetClient
    from inaetics.api.wire import UnitEntry
    from inaetics.cli.verdicts import Verdict


@click.command("restart")
@units_argument
@blocking_options
@pass_session
def command(session: Session, units: tuple[str, ...], no_block: bool, block_attempts: int) -> int:
    """Stop and start units where they are, one after the other: the next only when the one before runs again.

    A unit that is loaded is started; one that is inactive is refused. At the first unit that does not come back
    nothing more is restarted. A global unit is restarted on all its machines, without waiting.

    \b
      fleetctl restart hello.service
      fleetctl restart 'felix@*'
      fleetctl restart 'celix@{1..4}' --no-block
    """
    with session.client() as client:
        known = {unit.name: unit for unit in client.units().units}
        names = select(units, known)
        for name in names:
            if known[name].desired == "inactive":
                raise Conflict(f"cannot restart unit {name}: it is inactive (start it: fleetctl start {name})")
        for position, name in enumerate(names):
            code = _restart(client, known[name], wait=not no_block, attempts=block_attempts)
            if code:
                if left := names[position + 1 :]:
                    say(f"stopped there; not restarted: {', '.join(left)}")
                return code
    return 0


def _restart(client: FleetClient, unit: UnitEntry, *, wait: bool, attempts: int) -> int:
    """Restart one unit; returns the exit code."""
    try:
        if unit.is_global:
            return _restart_everywhere(client, unit.name)
        judge = _begin(client, unit)
    except InaeticsError as error:
        say(f"Unit {unit.name}: {error}")
        return error.exit_code
    if judge is None:
        say(f"Unit {unit.name} waits: {unit.reason}")
        return WAITING
    if not wait:
        click.echo(triggered(unit.name, "restart", is_global=False))
        return 0
    return wait_for(client, [unit.name], judge, attempts=attempts, wanted="restarted").exit_code


def _begin(client: FleetClient, unit: UnitEntry) -> Callable[[UnitEntry | None], Verdict] | None:
    """Have it restarted; returns what says when it is done, None for a unit that is on no machine."""
    if unit.machine is None:
        return None
    if unit.desired == "loaded":
        client.set_desired(unit.name, "launched")
        return judge_start
    return judge_restart(client.restart(unit.name).since)


def _restart_everywhere(client: FleetClient, name: str) -> int:
    """Restart a global unit on each machine that has it."""
    code = 0
    for state in client.states().states:
        if state.name == name:
            try:
                client.restart(name, machine=state.machine.id)
                click.echo(f"{triggered(name, 'restart', is_global=True)} on {state.machine.name}")
            except InaeticsError as error:
                say(f"Unit {name} on {state.machine.name}: {error}")
                code = FAILED
    return code
