"""What is mounted below a directory, and taking it away: containers leave mounts behind when their host dies."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from inaetics.errors import Conflict

CONTAINERS_OWN = frozenset({"overlay", "tmpfs", "nsfs", "proc", "sysfs", "mqueue", "devpts", "fuse.fuse-overlayfs"})
"""File systems that container engines mount; anything else below our directories was put there by a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A file system of this `kind` (as the kernel calls it) stands at `point`."""

    point: Path
    kind: str


def parse(mountinfo: str) -> list[Mount]:
    """The mounts in the text of /proc/self/mountinfo, in order of mounting."""
    rows = (line.split() for line in mountinfo.splitlines())
    return [Mount(point=Path(_unescape(row[4])), kind=row[row.index("-") + 1]) for row in rows]


def _unescape(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def below(directories: Iterable[Path], mountinfo: str | None = None) -> list[Mount]:
    """Mounts on or below any of `directories`, last mounted first: the order in which they can be taken away."""
    text = Path("/proc/self/mountinfo").read_text() if mountinfo is None else mountinfo
    wanted = [directory.resolve() for directory in directories]
    found = [mount for mount in parse(text) if any(mount.point.is_relative_to(each) for each in wanted)]
    return found[::-1]


def foreign(mounts: Iterable[Mount]) -> list[Mount]:
    """Mounts that no container engine made. The store's own bind mount on itself (`…/containers/overlay`) is one's."""
    return [each for each in mounts if each.kind not in CONTAINERS_OWN and each.point.parent.name != "containers"]


def unmount(directories: Iterable[Path]) -> int:
    """Take away every container engine's mount below `directories`; returns how many there were.

    Raises `Conflict`, with nothing unmounted, when a person's mount is among them.
    """
    found = below(directories)
    if strange := foreign(found):
        points = ", ".join(f"{each.point} ({each.kind})" for each in strange)
        raise Conflict(f"something is mounted inside the cluster's directory: {points} (unmount it first: umount PATH)")
    for mount in found:
        _unmount(mount)
    return len(found)


def _unmount(mount: Mount) -> None:
    # Lazily: a dying container's last process may hold it a moment longer, and nothing is written there any more.
    done = subprocess.run(["umount", "--lazy", str(mount.point)], capture_output=True, text=True, check=False)
    if done.returncode != 0 and any(each.point == mount.point for each in below([mount.point])):
        raise Conflict(f"cannot unmount {mount.point}: {done.stderr.strip()}")
