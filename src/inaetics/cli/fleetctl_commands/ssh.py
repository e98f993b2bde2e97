"""fleetctl ssh."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NoReturn

import click

from inaetics.cli.fleetctl_commands.arguments import complete_units
from inaetics.cli.session import Session, pass_session
from inaetics.cli.unit_arguments import unit_name
from inaetics.errors import InaeticsError, InvalidInput, NotFound

if TYPE_CHECKING:
    from inaetics.api.client import FleetClient
    from inaetics.api.tunnel import Tunnel
    from inaetics.api.wire import MachineRef


@click.command("ssh", context_settings={"allow_interspersed_args": False})
@click.option("--machine", metavar="MACHINE", help="A machine: its name, its address, or the beginning of its id.")
@click.option("--unit", metavar="UNIT", help="The machine on which this unit is.")
@click.option("--forward-agent", "-A", is_flag=True, help="Forward our ssh agent (machines reached over ssh).")
@click.option("--ssh-port", metavar="PORT", type=int, default=22, show_default=True, help="Machines reached over ssh.")
@click.argument("words", metavar="[MACHINE|UNIT] [CMD [ARG]...]", nargs=-1, type=click.UNPROCESSED,
                shell_complete=complete_units)  # fmt: skip
@pass_session
def command(
    session: Session, machine: str | None, unit: str | None, forward_agent: bool, ssh_port: int, words: tuple[str, ...]
) -> None:
    """Open a shell on a machine, or on the machine where a unit is; or run one command there.

    Whether the argument is a machine or a unit is found out; --machine and --unit say it. A machine of a cluster on
    this computer is entered as 'inaetics ssh' does it, another one over ssh; with --tunnel both are done from that
    computer. Not for global units.

    \b
      fleetctl ssh 113f16a7
      fleetctl ssh felix@1.service
      fleetctl ssh --unit felix@1 podman ps
      fleetctl ssh -A worker-2 -- uptime
    """
    if machine and unit:
        raise click.UsageError("both --machine and --unit are given: one of them is enough")
    if not machine and not unit:
        if not words:
            raise click.UsageError("a machine or a unit is missing")
        word, *rest = words
    else:
        word, rest = "", list(words)
    with session.client() as client:
        if machine:
            found = _machine(client, machine)
        elif unit:
            found = _of_unit(client, unit)
        else:
            found = _either(client, word)
    _enter(session, found, rest[1:] if rest[:1] == ["--"] else rest, forward_agent=forward_agent, port=ssh_port)


def _either(client: FleetClient, word: str) -> MachineRef:
    """What `word` means; raises `InvalidInput` when it means a machine and a unit."""
    found: list[MachineRef] = []
    reasons: list[str] = []
    for look in (_machine, _of_unit):
        try:
            found.append(look(client, word))
        except (NotFound, InvalidInput) as error:
            reasons.append(str(error))
    if len(found) > 1:
        raise InvalidInput(f"{word!r} is a machine and a unit: say which with --machine or --unit")
    if not found:
        raise NotFound(f"{word!r} is neither a machine nor a unit: {'; '.join(reasons)}")
    return found[0]


def _machine(client: FleetClient, word: str) -> MachineRef:
    from inaetics.api.wire import MachineRef

    found = [each for each in client.machines() if word in (each.name, each.address) or each.id.startswith(word)]
    if not found:
        raise NotFound(f"there is no machine {word!r} (what there is: fleetctl list-machines)")
    if len(found) > 1:
        raise InvalidInput(f"{word!r} is the beginning of {len(found)} machines' ids: give more of it")
    return MachineRef(found[0].id, found[0].name, found[0].address)


def _of_unit(client: FleetClient, word: str) -> MachineRef:
    entry = client.unit(unit_name(word)).unit
    if entry.is_global:
        raise InvalidInput(f"unit {entry.name} is global: it is on every machine that fits (name one with --machine)")
    if entry.machine is None:
        raise NotFound(f"unit {entry.name} is on no machine (why: fleetctl explain {entry.name})")
    return entry.machine


def _enter(session: Session, machine: MachineRef, words: list[str], *, forward_agent: bool, port: int) -> None:
    from inaetics.hosts.paths import cluster_paths

    if session.tunnel is not None and _is_simulated(machine):
        _become(_entered_there(session, session.tunnel, machine, words, forward_agent), machine)
    paths = cluster_paths(session.cluster)
    if session.tunnel is None and paths.file.exists():
        from inaetics.hosts.cluster import load
        from inaetics.hosts.shell import enter

        if any((host.name, host.address) == (machine.name, machine.address) for host in load(paths).hosts):
            enter(paths, machine.name, words)
    agent = ["-A"] if forward_agent else []
    options = session.ssh.words() if session.ssh is not None else []
    proxy = session.tunnel.host.proxy() if session.tunnel is not None else []
    line = ["ssh", *agent, *options, *proxy, "-p", str(port), machine.address, *(["--", *words] if words else [])]
    _become(line, machine)


def _is_simulated(machine: MachineRef) -> bool:
    """Whether it is a machine only for the computer that it runs on."""
    import ipaddress

    try:
        return ipaddress.ip_address(machine.address).is_loopback
    except ValueError:
        return False


def _entered_there(
    session: Session, tunnel: Tunnel, machine: MachineRef, words: list[str], forward_agent: bool
) -> list[str]:
    """What runs `inaetics ssh` at the tunnel's other end: with the Python that serves the fleet there, for
    `inaetics` need not be on the PATH of who logs in."""
    import shlex
    import sys

    from inaetics.api.tunnel import CLUSTER

    if forward_agent:
        raise InvalidInput(
            f"{machine.name} is no computer but a simulated host on {tunnel.host.name}: there is nothing to forward an"
            " agent to (leave --forward-agent out)"
        )
    named = session.endpoints()[0]
    endpoint = f"{CLUSTER}{session.cluster}" if named.startswith("http") else named
    python, places = tunnel.program(endpoint, timeout_s=session.request_timeout)
    enter = [python, "-P", "-c", "from inaetics.cli.inaetics import main; main()", "ssh"]
    line = ["env", *places, *enter, "--cluster", session.cluster, machine.name, *(["--", *words] if words else [])]
    return tunnel.host.terminal(shlex.join(line), tty=not words and sys.stdin.isatty())


def _become(line: list[str], machine: MachineRef) -> NoReturn:
    try:
        os.execvp(line[0], line)
    except FileNotFoundError as error:
        raise InaeticsError(
            f"cannot reach {machine.name} at {machine.address}: there is no program 'ssh' here (apt install"
            " openssh-client)"
        ) from error
