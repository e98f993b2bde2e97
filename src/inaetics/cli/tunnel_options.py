"""Options for a fleet elsewhere, by the original's names: `--tunnel` and how ssh goes there."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from inaetics.cli.common import some_seconds

Command = TypeVar("Command", bound=Callable[..., Any])

SWITCH = "strict-host-key-checking"
"""The one with a value that, as the original took it, may also stand alone."""

NAMES = ("tunnel", "ssh-username", "ssh-timeout", "known-hosts-file", SWITCH)


def tunnel_options(command: Command) -> Command:
    """Add them."""
    options = (
        click.option(
            "--tunnel",
            metavar="[USER@]HOST[:PORT]",
            envvar="FLEETCTL_TUNNEL",
            help="Reach the fleet over ssh, through this machine; --cluster and --endpoint are as seen from there.",
        ),
        click.option(
            "--ssh-username",
            metavar="NAME",
            envvar="FLEETCTL_SSH_USERNAME",
            help="As whom ssh logs in. Else as its configuration says.",
        ),
        click.option(
            "--ssh-timeout",
            metavar="SECONDS",
            type=float,
            envvar="FLEETCTL_SSH_TIMEOUT",
            callback=_seconds,
            help="How long ssh may take to connect; through a tunnel 10 unless given.",
        ),
        click.option(
            "--known-hosts-file",
            metavar="FILE",
            type=click.Path(path_type=Path),
            envvar="FLEETCTL_KNOWN_HOSTS_FILE",
            help="The hosts' keys that ssh trusts. Else as its configuration says.",
        ),
        click.option(
            f"--{SWITCH}",
            metavar="BOOL",
            type=bool,
            envvar="FLEETCTL_STRICT_HOST_KEY_CHECKING",
            help="Whether ssh refuses hosts whose key it does not know. Else as its configuration says.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def tunnel_of(options: Mapping[str, Any], *, asking: bool | None = None) -> dict[str, Any]:
    """The session's options, with these made into its `tunnel` and its `ssh`; raises `InvalidInput`.

    `asking` says whether ssh may ask at the terminal; None: if somebody sits there.
    """
    left = dict(options)
    place, user, timeout_s, known_hosts, strict = (left.pop(name.replace("-", "_"), None) for name in NAMES)
    if not place and user is timeout_s is known_hosts is strict is None:
        return left
    from inaetics.api.ssh import SshOptions, host_of

    ssh = SshOptions(user=user or None, timeout_s=timeout_s, known_hosts=known_hosts, strict=strict)
    left["ssh"] = ssh
    if place:
        from inaetics.api.tunnel import Tunnel

        left["tunnel"] = Tunnel(host=host_of(place, ssh, asking=_somebody() if asking is None else asking))
    return left


def _somebody() -> bool:
    """Whether this runs in a terminal's foreground: ssh asks there, and in the background it would stop instead."""
    try:
        return os.isatty(2) and os.tcgetpgrp(2) == os.getpgrp()
    except OSError:
        return False


def _seconds(context: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    return None if value is None else some_seconds(context, parameter, value)
