"""fleetctl: units of the cluster, with the verbs, flags and columns of the original.

This module is all that `--help` loads; a command's own module is imported when it runs.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

import click

from inaetics.cli.common import LazyGroup, cluster_option, run, some_seconds
from inaetics.cli.obsolete import NAMES as OBSOLETE
from inaetics.cli.obsolete import obsolete_options
from inaetics.cli.session import Session, tls_options
from inaetics.cli.tunnel_options import NAMES as TUNNEL
from inaetics.cli.tunnel_options import SWITCH, tunnel_options

_HERE = "inaetics.cli.fleetctl_commands"

COMMANDS = {
    "list-machines": (f"{_HERE}.list_machines:command", "Which machines are there."),
    "list-units": (f"{_HERE}.list_units:command", "What runs, where, and how it is."),
    "list-unit-files": (f"{_HERE}.list_unit_files:command", "Every submitted unit, wanted and actual state."),
    "submit": (f"{_HERE}.submit:command", "Store unit files in the cluster, start nothing."),
    "load": (f"{_HERE}.load:command", "Give units to machines without starting them."),
    "start": (f"{_HERE}.start:command", "Start units, submitting and loading them first if needed."),
    "stop": (f"{_HERE}.stop:command", "Stop units; they stay on their machines."),
    "restart": (f"{_HERE}.restart:command", "Stop and start units where they are, one after the other."),
    "unload": (f"{_HERE}.unload:command", "Stop units and take them off their machines."),
    "destroy": (f"{_HERE}.destroy:command", "Stop units and forget them."),
    "cat": (f"{_HERE}.cat:command", "Print unit files as they were submitted."),
    "status": (f"{_HERE}.status:command", "How units are, with the last lines of their journals."),
    "journal": (f"{_HERE}.journal:command", "Print a unit's journal; -f goes on printing."),
    "logs": (f"{_HERE}.logs:command", "What units write, several at once; -f follows them wherever they go."),
    "exec": (f"{_HERE}.exec:command", "Run a command in a unit."),
    "ssh": (f"{_HERE}.ssh:command", "A shell on a machine, or where a unit is."),
    "explain": (f"{_HERE}.explain:command", "Why a unit is where it is, or waits; machine by machine."),
    "update": (f"{_HERE}.update:command", "Give units new content, one instance after the other."),
    "rollouts": (f"{_HERE}.rollouts:command", "Updates that run, and what became of the last ones."),
    "events": (f"{_HERE}.events:command", "What happened, when and why; -f goes on printing."),
    "cordon": (f"{_HERE}.cordon:command", "Give a machine no new units."),
    "uncordon": (f"{_HERE}.uncordon:command", "Let a machine take units again; ends a drain."),
    "drain": (f"{_HERE}.drain:command", "Move a machine's units to others, a few at a time."),
    "rebalance": (f"{_HERE}.rebalance:command", "Even out the machines' loads, a few units at a time."),
    "metadata": (f"{_HERE}.metadata:command", "Say what a machine is like: KEY=VALUE, KEY- takes it away."),
    "forget": (f"{_HERE}.forget:command", "Forget a machine that will not come back."),
    "verify": (f"{_HERE}.verify:command", "Check unit files without submitting them."),
    "completion": (f"{_HERE}.completion:command", "Print the completion script of a shell."),
    "help": ("inaetics.cli.helping:command", "Print the help of a command."),
    "version": (f"{_HERE}.version:command", "Print the version."),
}

HIDDEN = {"fd-forward": (f"{_HERE}.fd_forward:command", "Forward standard input and output to a Unix socket.")}
"""What programs call, not people."""

PASSING = frozenset({"exec", "ssh"})
"""Verbs behind whose first argument everything is another program's."""

SINGLE_DASH = re.compile(r"-([a-z][a-z-]+)(=.*)?", re.DOTALL)
LONG_OPTIONS = {
    *("endpoint", "cluster", "ca-file", "cert-file", "key-file", "request-timeout", "version", "help"),
    *("full", "no-legend", "fields", "output", "lines", "follow", "unit", "since", "cancel", "no-block"),
    *("block-attempts", "replace", "machine", "at-once", "plan", "forward-agent", "ssh-port", "sudo", "interactive"),
    *TUNNEL,
    *OBSOLETE,
}


@click.group(
    "fleetctl",
    cls=LazyGroup,
    lazy=COMMANDS,
    unlisted=HIDDEN,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="See 'fleetctl COMMAND --help' for what a command takes, with examples. Exit codes: 0 done, 1 failed,"
    " 2 wrong input, 3 something does not answer or a unit waits, 4 not found, 5 in conflict, 6 not allowed,"
    " 130 interrupted.",
)
@click.option(
    "--endpoint",
    metavar="URL",
    envvar="FLEETCTL_ENDPOINT",
    help="The fleet API: unix:///PATH or https://ADDRESS; several with commas. Else the cluster's own sockets.",
)
@cluster_option
@tls_options
@tunnel_options
@obsolete_options
@click.option(
    "--request-timeout",
    metavar="SECONDS",
    type=float,
    default=10.0,
    show_default=True,
    envvar="FLEETCTL_REQUEST_TIMEOUT",
    callback=some_seconds,
    help="How long to wait.",
)
@click.version_option(package_name="inaetics-cluster", prog_name="fleetctl", message="%(prog)s version %(version)s")
@click.pass_context
def fleetctl(context: click.Context, /, **options: object) -> None:
    """Run units on a cluster of machines: one systemd for all of them.

    A unit is a systemd unit file with an optional [X-Fleet] section that says where it may run. felix@.service is a
    template, felix@1.service an instance of it.

    \b
      fleetctl list-machines
      fleetctl start hello.service        a file here, or a unit submitted before
      fleetctl start 'felix@{1..4}'       four instances of a template
      fleetctl list-units
      fleetctl explain felix@4.service    why it runs there, or waits
      fleetctl destroy 'felix@*'
    """
    context.obj = Session.of(options)


def main() -> None:
    """Run fleetctl as a program. The original took long options with one dash too; so do we."""
    sys.argv[1:] = two_dashes(sys.argv[1:])
    run(fleetctl, "fleetctl")


def two_dashes(arguments: Sequence[str]) -> list[str]:
    """Rewrite the original's `-no-legend` as `--no-legend`; not behind `--`, nor in another program's command line."""
    rewritten: list[str] = []
    passing = False
    for position, argument in enumerate(arguments):
        if argument == "--" or (passing and not argument.startswith("-")):
            return [*rewritten, *arguments[position:]]
        passing = passing or argument in PASSING
        match = SINGLE_DASH.fullmatch(argument)
        option = f"-{argument}" if match and match[1] in LONG_OPTIONS else argument
        rewritten.append(f"{option}=true" if option == f"--{SWITCH}" else option)
    return rewritten
