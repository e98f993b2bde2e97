"""Starting the power switch of a cluster that runs on one machine (`power_switch`) beside its hosts."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import suppress

from inaetics.errors import CommandFailed
from inaetics.hosts.paths import SHELL, SUPERVISED, ClusterPaths

PROGRAM = "inaetics.hosts.power_switch"
"""Started, never imported: it does what `up` does, and `up` starts it."""


def ensure_switch(paths: ClusterPaths) -> None:
    """Start the switch unless it answers. Idempotent."""
    with socket.socket(socket.AF_UNIX) as probe, suppress(OSError):
        probe.connect(str(paths.switch))
        return
    environment = {name: value for name, value in os.environ.items() if name not in (SUPERVISED, SHELL)}
    environment["INAETICS_HOME"] = str(paths.state.parent)
    command = ["setsid", "--fork", sys.executable, "-P", "-m", PROGRAM, "serve", paths.name]
    null = subprocess.DEVNULL
    if code := subprocess.run(
        command, env=environment, cwd="/", stdin=null, stdout=null, stderr=null, check=False
    ).returncode:
        raise CommandFailed("cannot start the cluster's power switch", status=code, output="")
