"""What members of the store leave on disk while they form it, and clearing it when forming was broken off."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

FORMATION = "formation.json"
"""The members, as found once: name → peer URL."""

FORMING = "forming"
"""There from when the members were found until etcd was ready for the first time (etcd.service takes it away)."""

JOINING = "joining"
"""There while a member is new to others that have formed already, until it was ready (etcd.service takes it away)."""

DATA = "data"
BEFORE = "data.before"
"""What a member held before a snapshot was restored."""


def forget_unformed(places: Sequence[Path]) -> bool:
    """Clear the members' directories `places` if their store has never come about; returns whether it did.

    Killed in its first moments, etcd never comes up from what it left, and three such members cannot help each other.
    Only for members that are all off. Nothing can be lost: every one is positively marked as never ready, so nobody
    was ever served.
    """
    begun = [place for place in places if (place / DATA).exists()]
    if not begun or not all((place / FORMING).exists() for place in begun):
        return False
    for place in filter(Path.exists, places):
        shutil.rmtree(place)
    return True
