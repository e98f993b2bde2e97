"""A host on this machine: a supervisor with an address of its own, and a small shell loop that restarts it.

The loop (the keeper) stands where a real machine has its kernel starting init: whatever kills the supervisor, it comes
back within a moment and adopts what lives. Keeper and supervisor run in a session of their own, so that closing the
terminal, or Ctrl-C in it, does not reach them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from inaetics.errors import CommandFailed
from inaetics.hosts.environment import read
from inaetics.hosts.mounts import unmount
from inaetics.hosts.paths import SUPERVISED, HostPaths
from inaetics.hosts.processes import KEEPER

LOG_BYTES = 1_000_000
"""A supervisor's own output is set aside (one generation) at the boot that finds it larger."""

KEEP = """
{ echo -5 >/proc/$$/autogroup; } 2>/dev/null
while :; do
  read -r began _ </proc/uptime
  "$@" && exit 0
  read -r ended _ </proc/uptime
  [ $((${ended%.*} - ${began%.*})) -ge 5 ] || sleep 0.5
done
"""
"""One that lived for a while comes back at once: units with OnLost=stop count on it (see `inaetics.fleet.in_touch`).

Where Linux shares processors out by session, this one gets three times what others do, as etcd, API and agent have it
by their `CPUWeight=`: they wait for the supervisor. Its units have sessions of their own. Where it does not, or without
root, nothing is lost.
"""


def wipe_run(paths: HostPaths) -> None:
    """Empty the run directory, as a reboot does: sockets, the supervisor's memory, the container engine's."""
    unmount([paths.run, paths.containers])
    if paths.run.exists():
        shutil.rmtree(paths.run)
    ensure_run(paths)


def ensure_run(paths: HostPaths) -> None:
    """Make the directories that the host runs in, its owner's only."""
    for directory in (paths.run.parent.parent, paths.run.parent, paths.run):
        directory.mkdir(exist_ok=True, mode=0o700)
    for directory in (paths.supervisor, paths.supervisor_run, paths.etcd, paths.containers_run):
        directory.mkdir(exist_ok=True, mode=0o700, parents=True)


def start_keeper(paths: HostPaths, *, within: Sequence[str] = ()) -> None:
    """Start the loop that keeps a supervisor running; returns at once.

    `within` begins its command line: what puts the host into a network of its own, where it is to have one.
    """
    log = paths.supervisor_log
    log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_name("previous"))
    environment = {**read(paths.environment), SUPERVISED: paths.marker}
    command = [*within, "setsid", "--fork", "sh", "-c", KEEP, KEEPER, *daemon_command(paths)]
    with log.open("ab") as output:
        started = subprocess.run(
            command, env=environment, cwd="/", stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False
        )
    if started.returncode != 0:
        raise CommandFailed(
            f"cannot start host {paths.name!r}: {KEEPER} was not started (see {log})",
            status=started.returncode,
            output="",
        )


def daemon_command(paths: HostPaths) -> list[str]:
    """The host's supervisor as a command line."""
    return [
        *(sys.executable, "-P", "-m", "inaetics.supervisor"),
        *("--directory", str(paths.supervisor)),
        *("--run-directory", str(paths.supervisor_run)),
        *("--socket", str(paths.supervisor_socket)),
        *("--environment-file", str(paths.environment)),
        *("--units", str(paths.units)),
    ]


def claim_run(run: Path, state: Path) -> str | None:
    """Note in the cluster's run directory whose it is; returns whose else it is when it is another's.

    Clusters of one name can exist below different INAETICS_HOMEs, but share /run/inaetics.
    """
    for directory in (run.parent, run):
        directory.mkdir(exist_ok=True, mode=0o700)
        if (owner := os.stat(directory).st_uid) != os.getuid():
            return f"{directory} of user {owner}"
    note = run / "owner"
    found = note.read_text().strip() if note.exists() else str(state)
    if found != str(state) and Path(found).exists():
        return f"the cluster in {found}"
    note.write_text(f"{state}\n")
    return None
