"""Whether a disk that hosts keep their state on is about to be full: said while there is still time.

A full disk stops etcd, pulls and journals of every host on it at once.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from inaetics.containers.replicate_room import is_low
from inaetics.override import override


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A disk by what is on it: the directories of `hosts`, the first at `place`. Sizes in bytes."""

    place: Path
    hosts: tuple[str, ...]
    free: int
    total: int

    @property
    def low(self) -> bool:
        """Whether it should be looked after now."""
        return is_low(self.free, self.total)

    @override
    def __str__(self) -> str:
        share = 100 * self.free / self.total if self.total else 0.0
        where = ", ".join(self.hosts)
        return f"{self.free / 1e9:.1f} of {self.total / 1e9:.0f} GB free ({share:.0f} %) for {where} at {self.place}"


def disks(places: Iterable[tuple[str, Path]]) -> list[Disk]:
    """The disks that hold the hosts' directories `places` (name, path), each once."""
    found: dict[int, list[tuple[str, Path]]] = {}
    for name, place in places:
        if place.exists():
            found.setdefault(os.stat(place).st_dev, []).append((name, place))
    return list(map(_disk, found.values()))


def warnings(places: Iterable[tuple[str, Path]]) -> Iterator[str]:
    """What people should know of disks that are low, and what helps."""
    for disk in disks(places):
        if disk.low:
            yield (
                f"the disk is nearly full: {disk} (make room: inaetics image prune, inaetics image prune --registry)"
            )


def _disk(hosts: list[tuple[str, Path]]) -> Disk:
    place = hosts[0][1]
    usage = shutil.disk_usage(place)
    return Disk(place=place, hosts=tuple(name for name, _ in hosts), free=usage.free, total=usage.total)
