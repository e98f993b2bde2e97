"""Looking through directories in which others are at work."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def below(place: Path) -> Iterator[Path]:
    """Everything below `place`. What goes while this looks is passed over; `Path.rglob` would raise."""
    for top, directories, files in os.walk(place):
        for name in (*directories, *files):
            yield Path(top, name)
