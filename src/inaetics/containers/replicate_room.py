"""How much room there is for images, and who is refused when there is none: a full disk ends more than a registry."""

from __future__ import annotations

import os
from pathlib import Path

from inaetics.errors import InaeticsError

LOW_SHARE, LOW_BYTES = 0.10, 2_000_000_000
"""A disk with less than either is spoken of: a tenth of it, or what a few images take."""

ROOM = 64 * 1024 * 1024
"""Nothing is copied or taken in that would leave the disk less: what keeps the disk's other users alive."""


def free_bytes(place: Path) -> tuple[int, int]:
    """Free and all bytes of the disk that holds `place`, or the nearest directory above it that is there."""
    there = next(each for each in (place, *place.parents) if each.exists())
    found = os.statvfs(there)
    return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize


def is_low(free: int, total: int) -> bool:
    """Whether so little of a disk is left that people should know."""
    return free < LOW_BYTES or free < LOW_SHARE * total


def nearly_full(place: Path) -> str:
    """What to say of a disk that is low, else nothing."""
    free, total = free_bytes(place)
    if not is_low(free, total):
        return ""
    return f"{free / 1e9:.1f} of {total / 1e9:.0f} GB free for {place}"


def refuse_full(place: Path, doing: str, *, size: int = 0) -> None:
    """Raise `InaeticsError` when the disk that holds `place` has no room for `size` bytes more."""
    free, _ = free_bytes(place)
    if free - size < ROOM:
        needs = f", and it needs {size / 1e6:.0f} MB" if size else ""
        raise InaeticsError(f"cannot {doing}: the disk of {place} is full ({free / 1e6:.0f} MB free{needs})")
