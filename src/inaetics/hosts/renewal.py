"""Every certificate of a cluster with its end, and renewing them while the cluster runs.

Whoever runs takes renewed files up by itself: etcd and our own servers and clients with their next connection, open
connections to the store within ten seconds. So no unit stops, and no process of one changes.

Authorities are replaced in three steps, each of which leaves everybody believing everybody: successors are trusted
beside them; then they sign; then only they are trusted. etcd reads whom it trusts at its start, so its members are
restarted one by one in between. Interrupted at any point, it goes on where it was when it is run again.
"""

from __future__ import annotations

import asyncio
import datetime
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from inaetics.errors import Conflict
from inaetics.files import replace_file
from inaetics.hosts import pki
from inaetics.hosts.cluster import Cluster, command, load
from inaetics.hosts.lock import locked
from inaetics.hosts.observe import Observation, observe
from inaetics.hosts.paths import ClusterPaths
from inaetics.hosts.progress import Progress
from inaetics.hosts.rolling import restart_one_by_one
from inaetics.hosts.system_units import AGENT, API, DISCOVERY, ETCD
from inaetics.store.endpoints import common_name
from inaetics.tls import end_of

SOON_DAYS = 30
"""From here on `status` and `doctor` speak of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A certificate: where it is, to whom it was made out, when it ends (UTC; None: it cannot be read)."""

    host: str
    """Empty for the cluster's own."""
    name: str
    file: Path
    ends: datetime.datetime | None

    def days_left(self, now: datetime.datetime) -> float:
        """Days until its end, less than 0 after it, and for one that cannot be read."""
        return -1.0 if self.ends is None else (self.ends - now) / datetime.timedelta(days=1)


def inventory(paths: ClusterPaths, cluster: Cluster) -> tuple[Entry, ...]:
    """Every certificate there should be: authorities, people's, then the hosts'. A missing one has no end."""
    own = [paths.pki / f"{name}.pem" for name in (pki.CA, pki.NODES, pki.READERS, pki.PEERS)]
    found = [entry for file in own if file.exists() for entry in _entries("", file)]
    found += [entry for each in pki.people(paths) for entry in _entries("", paths.pki / each.certificate)]
    for host in cluster.hosts:
        place = paths.host(host.name).pki
        for want in pki.wanted(host):
            if want.authority != pki.PEERS or (paths.pki / f"{pki.PEERS}.pem").exists():
                found += _entries(host.name, place / want.certificate)
    return tuple(found)


def first_to_end(entries: Sequence[Entry], now: datetime.datetime) -> Entry | None:
    """The one that ends soonest, if that is soon."""
    first = min(entries, key=lambda entry: entry.days_left(now), default=None)
    return first if first is not None and first.days_left(now) < SOON_DAYS else None


def warning(paths: ClusterPaths, cluster: Cluster) -> str | None:
    """What people should know of certificates that end soon; None when none does."""
    now = datetime.datetime.now(datetime.UTC)
    entries = inventory(paths, cluster)
    soon = first_to_end(entries, now)
    if soon is None:
        return None
    count = sum(entry.days_left(now) < SOON_DAYS for entry in entries)
    others = f" and {count - 1} more" if count > 1 else ""
    when = f"in {soon.days_left(now):.0f} days" if soon.days_left(now) > 0 else "already"
    whose = f"{soon.name!r} of {soon.host}" if soon.host else f"{soon.name!r}"
    what = "certificates renew --authorities" if _is_authority(paths, soon.file) else "certificates renew"
    return f"the certificate {whose}{others} ends {when} (renew: {command(paths.name, what)})"


def renew(paths: ClusterPaths, progress: Progress, *, everything: bool = False) -> list[str]:
    """Renew what ends soon, or `everything`; returns what was made anew as `host/file`. The cluster may run."""
    cluster = load(paths)
    with locked(paths, "certificates renew"):
        return asyncio.run(_renew(cluster, paths, progress, everything=everything))


def replace_authorities(paths: ClusterPaths, progress: Progress) -> None:
    """Give every authority a successor and sign everything anew. The cluster may run, or be off altogether."""
    cluster = load(paths)
    with locked(paths, "certificates renew"):
        asyncio.run(_replace_authorities(cluster, paths, progress))


def hand_out(directory: Path, *files: Path) -> tuple[Path, ...]:
    """Copy files into `directory`, readable by their owner only; returns the copies."""
    copies = tuple(directory / file.name for file in files)
    for file, copy in zip(files, copies, strict=True):
        replace_file(copy, file.read_text())
    return copies


async def _renew(cluster: Cluster, paths: ClusterPaths, progress: Progress, *, everything: bool) -> list[str]:
    seen = await observe(paths, cluster.hosts)
    with progress.step("certificates") as step:
        written = _write(cluster, paths, seen, everything=everything)
        step.update(f"{len(written)} renewed")
    return written


async def _replace_authorities(cluster: Cluster, paths: ClusterPaths, progress: Progress) -> None:
    seen = await observe(paths, cluster.hosts)
    _refuse_half_a_store(cluster, seen)
    with progress.step("successors are trusted"):
        pki.introduce_authorities(paths, cluster.name)
        _write(cluster, paths, seen)
    await _restart(paths, seen, (DISCOVERY, ETCD), progress)
    with progress.step("successors sign") as step:
        pki.enthrone_authorities(paths)
        step.update(f"{len(_write(cluster, paths, seen))} renewed")
    with progress.step("predecessors are forgotten"):
        pki.dismiss_authorities(paths)
        _write(cluster, paths, seen)
    await _restart(paths, seen, (DISCOVERY, ETCD, API, AGENT), progress)


def _write(
    cluster: Cluster, paths: ClusterPaths, seen: Mapping[str, Observation], *, everything: bool = False
) -> list[str]:
    running = any(seen[host.name].processes for host in cluster.control_hosts)
    authorities = pki.ensure_authorities(paths, cluster.name, running=running, anew=everything)
    written = [person.certificate for person in pki.people(paths)] if everything else []
    for host in cluster.hosts:
        made = pki.ensure_host(paths.host(host.name), host, authorities, anew=everything)
        written += [f"{host.name}/{name}" for name in made]
    return written


async def _restart(
    paths: ClusterPaths, seen: Mapping[str, Observation], units: Sequence[str], progress: Progress
) -> None:
    """Restart system units on the hosts that run them, host by host."""
    for unit in units:
        there = [name for name, each in seen.items() if each.units is not None and unit in each.wanted]
        if there:
            with progress.step(f"{unit} restarted") as step:
                await restart_one_by_one([paths.host(name) for name in there], unit)
                step.update(f"{len(there)}")


def _refuse_half_a_store(cluster: Cluster, seen: Mapping[str, Observation]) -> None:
    """A member that is off while the others restart one by one would leave no majority."""
    off = [host.name for host in cluster.control_hosts if not seen[host.name].answers]
    if off and len(off) < len(cluster.control_hosts):
        raise Conflict(
            f"cannot replace the authorities while {', '.join(off)} is off: the store's members restart one by one, and"
            f" all must be there (start it: {command(cluster.name, 'up ' + ' '.join(off))}, or halt everything first)"
        )


def _entries(host: str, file: Path) -> Iterator[Entry]:
    """Every certificate in a file: while one authority takes over from another there are two."""
    try:
        text = file.read_text("ascii")
    except (OSError, UnicodeDecodeError):
        text = ""
    pems = re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", text, re.DOTALL)
    for pem in pems or [""]:
        name = common_name(pem.encode()) if pem else file.stem
        yield Entry(host=host, name=name, file=file, ends=end_of(pem))


def _is_authority(paths: ClusterPaths, file: Path) -> bool:
    return file.parent == paths.pki and file.name in {f"{n}.pem" for n in (pki.CA, pki.NODES, pki.READERS, pki.PEERS)}
