"""Whether the disk of this host's state gets full: looked at now and then, told of when it changes.

Promises: told once when the disk gets low, and once when there is room again; a disk about the border is not told of
again and again, because room again means a quarter more than the border.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import structlog

from inaetics.containers.replicate_room import free_bytes, is_low

_log = structlog.get_logger()

AGAIN = 1.25
LOOK_EVERY_S = 15.0


def low_now(free: int, total: int, *, before: bool) -> bool:
    """Whether a disk that was low `before`, or was not, is low with so many bytes free."""
    return is_low(int(free / AGAIN) if before else free, total)


async def follow_disk(place: Path, tell: Callable[[str], None], *, every_s: float = LOOK_EVERY_S) -> None:
    """Tell what is left, in words, when the disk of `place` gets low, and nothing when it is low no more; for ever."""
    low = False
    while True:
        try:
            free, total = free_bytes(place)
        except OSError as error:
            _log.warning("cannot look at the disk", place=str(place), error=str(error))
        else:
            before, low = low, low_now(free, total, before=low)
            if low != before:
                words = f"{free / 1e9:.1f} of {total / 1e9:.0f} GB free at {place}"
                _log.warning("disk gets full" if low else "disk has room again", found=words)
                tell(words if low else "")
        await asyncio.sleep(every_s)
