"""`inaetics etcd`: the cluster's store, looked after."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from inaetics.cli.common import cluster_option, confirm, output_option, print_json, print_table, say
from inaetics.cli.host_commands.arguments import host_argument
from inaetics.cli.progress import TerminalProgress

if TYPE_CHECKING:
    from inaetics.store.administration import StoreStatus


@click.group("etcd")
def etcd() -> None:
    """Look after the cluster's store, the etcd on its control hosts.

    \b
      inaetics etcd status                      members, leader, size, alarms
      inaetics etcd snapshot backup.db          everything in it, as a file
      inaetics etcd restore backup.db           back to what it was then
      inaetics etcd replace worker-2            after that host's disk was lost
      inaetics etcd defragment                  when it is full
    """


@etcd.command("status")
@output_option
@cluster_option
def status(output: str, cluster: str) -> int:
    """Show the store's members, those that do not answer too, with their size, their lag, and alarms.

    LAG is how many entries a member has yet to take in. Exit code 3 when no majority answers.
    """
    from inaetics.errors import Unavailable
    from inaetics.hosts.etcd_care import status as ask
    from inaetics.hosts.paths import cluster_paths

    found = ask(cluster_paths(cluster))
    if output == "json":
        print_json(_as_json(found))
    else:
        _show(found)
    return 0 if found.quorum else Unavailable.exit_code


@etcd.command("snapshot")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@cluster_option
def snapshot(file: Path, cluster: str) -> None:
    """Write all that the store holds into FILE, checked by its hash; nothing is stopped for it.

    The file holds every unit and every right, so keep it as you keep a key. The cluster's certificates and the images
    are not in it.
    """
    from inaetics.hosts.etcd_care import snapshot as take
    from inaetics.hosts.paths import cluster_paths

    member, size = take(cluster_paths(cluster), file)
    say(f"{file}: {size} bytes from {member} (put it back: inaetics etcd restore {file})")


@etcd.command("restore")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--yes", is_flag=True, help="Do not ask.")
@cluster_option
def restore(file: Path, yes: bool, cluster: str) -> None:
    """Put the snapshot FILE into the store: the whole cluster is halted and started again as it was then.

    What was submitted since is gone, and what was destroyed since runs again. The data of before stays on each control
    host as etcd/data.before, until the next restore.
    """
    from inaetics.hosts.etcd_care import restorable
    from inaetics.hosts.etcd_care import restore as put_back
    from inaetics.hosts.paths import cluster_paths

    restorable(cluster_paths(cluster), file)  # nobody is asked about what cannot be
    if not yes:
        confirm(f"Halt cluster {cluster!r} and replace what its store holds?")
    put_back(cluster_paths(cluster), file, TerminalProgress())


@etcd.command("replace")
@host_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
@cluster_option
def replace(host: str, yes: bool, cluster: str) -> None:
    """Give the control host HOST, whose disk was lost, a new member of the store that learns all from the others.

    Refused when the others have no majority without it: then restore a snapshot.
    """
    from inaetics.hosts.cluster import load
    from inaetics.hosts.etcd_care import replace as give
    from inaetics.hosts.etcd_care import replaceable
    from inaetics.hosts.paths import cluster_paths

    replaceable(load(cluster_paths(cluster)), host)
    if not yes:
        confirm(f"Delete what {host!r} holds of the store of cluster {cluster!r}?")
    give(cluster_paths(cluster), host, TerminalProgress())


@etcd.command("defragment")
@cluster_option
def defragment(cluster: str) -> None:
    """Make room: forget history, give free space back to the disk member by member, end the alarm NOSPACE.

    While a member defragments it does not answer; the others do.
    """
    from inaetics.hosts.etcd_care import defragment as make_room
    from inaetics.hosts.paths import cluster_paths

    found = make_room(cluster_paths(cluster), lambda name: say(f"{name} …"))
    _show(found)


def _show(found: StoreStatus) -> None:
    from inaetics.hosts.services import QUOTA_BYTES

    newest = max((member.index for member in found.answering), default=0)
    rows = [
        (member.name, "-", "", "", "", "", "", member.error)
        if member.error
        else (
            member.name,
            "leader" if member.leads else "follower",
            member.version,
            _bytes(member.size),
            _bytes(member.in_use),
            member.revision,
            newest - member.applied,
            "",
        )
        for member in found.members
    ]
    print_table(("MEMBER", "ROLE", "VERSION", "SIZE", "IN USE", "REVISION", "LAG", "TROUBLE"), rows)
    say(f"\nquota   {_bytes(QUOTA_BYTES)} a member")
    for alarm, names in found.alarms.items():
        help = "only deleting works until: inaetics etcd defragment" if alarm == "NOSPACE" else "replace that member"
        say(f"ALARM   {alarm} raised by {', '.join(names)} ({help})")
    if not found.quorum:
        say(f"no majority: {len(found.answering)} of {len(found.members)} members answer, so nothing can be changed")


def _bytes(number: int) -> str:
    return f"{number / 2**20:.0f} MiB" if number >= 10 * 2**20 else f"{number / 2**10:.0f} KiB"


def _as_json(found: StoreStatus) -> dict[str, object]:
    from dataclasses import asdict

    from inaetics.hosts.services import QUOTA_BYTES

    members = [{**asdict(member), "id": f"{member.id:x}"} for member in found.members]
    alarms = {alarm: list(names) for alarm, names in found.alarms.items()}
    return {"members": members, "alarms": alarms, "quorum": found.quorum, "quota_bytes": QUOTA_BYTES}
