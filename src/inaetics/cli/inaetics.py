"""inaetics: the hosts of a cluster, from nothing to the demonstrator and back.

This module is all that `--help` loads; a command's own module is imported when it runs.
"""

from __future__ import annotations

import click

from inaetics.cli.common import LazyGroup, run

_HERE = "inaetics.cli.host_commands"

COMMANDS = {
    "demo": (f"{_HERE}.cmd_demo:command", "Everything at once: hosts, images, agents, and the page's address."),
    "up": (f"{_HERE}.cmd_up:command", "Make the cluster, or start what of it is down."),
    "halt": (f"{_HERE}.cmd_halt:command", "Stop hosts in order; their state stays."),
    "restart": (f"{_HERE}.cmd_restart:command", "Halt hosts and start them again."),
    "kill": (f"{_HERE}.cmd_kill:command", "A power cut: everything on a host dies at once."),
    "destroy": (f"{_HERE}.cmd_destroy:command", "Remove the cluster; nothing of it stays."),
    "status": (f"{_HERE}.cmd_status:command", "Hosts and units, and the page's address."),
    "scale": (f"{_HERE}.cmd_scale:command", "How many producers and processors run; more or fewer."),
    "dashboard": (f"{_HERE}.cmd_dashboard:command", "Open the cluster's page in a browser."),
    "doctor": (f"{_HERE}.cmd_doctor:command", "What is missing or wrong here, and what would help."),
    "ssh": (f"{_HERE}.cmd_ssh:command", "A shell, or one command, in a host's environment."),
    "journal": (f"{_HERE}.cmd_journal:command", "What a host's units have written."),
    "image": ("inaetics.cli.image_commands:image", "Build, push and list container images."),
    "bundle": ("inaetics.cli.bundle_commands:bundle", "Make bundles, and bring them into the repository."),
    "deploy": ("inaetics.cli.deploy_commands:deploy", "Which bundles the node agents receive."),
    "certificates": ("inaetics.cli.certificate_commands:certificates", "Who holds which, until when; renew, issue."),
    "token": (f"{_HERE}.cmd_token:command", "What the page asks for before it changes anything; renew it."),
    "etcd": ("inaetics.cli.etcd_commands:etcd", "The store: status, snapshot, restore, replace a member."),
    "purge-discovery": (f"{_HERE}.cmd_purge_discovery:command", "Clear what the discovery service remembers."),
    "completion": (f"{_HERE}.cmd_completion:command", "Print a shell's completion script."),
    "help": ("inaetics.cli.helping:command", "Print the help of a command."),
    "version": (f"{_HERE}.cmd_version:command", "Print the versions of everything involved."),
}


@click.group(
    "inaetics",
    cls=LazyGroup,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="See 'inaetics COMMAND --help' for what a command takes. Exit codes: 0 done, 1 failed, 2 wrong input,"
    " 3 something does not answer, 4 not found, 5 in conflict with what is there, 6 not allowed, 130 interrupted.",
)
@click.version_option(package_name="inaetics-cluster", prog_name="inaetics", message="%(prog)s %(version)s")
def inaetics() -> None:
    """Bring a cluster of hosts up on this machine, look into it, and take it down again.

    \b
      inaetics demo                     hosts, images, agents; ends with the page's address
      inaetics up --workers 3           a smaller cluster
      inaetics status                   what runs where
      inaetics ssh worker-1             podman, etcdctl and fleetctl of that host
      inaetics kill worker-4            see what happens when a machine dies
      inaetics halt; inaetics up        stop for today, go on tomorrow
      inaetics destroy                  leave nothing behind

    Units are the business of fleetctl, the demonstrator's agents that of inaetics_fleet_manager.
    """


def main() -> None:
    """Run inaetics as a program."""
    run(inaetics, "inaetics")
