"""Which unit files nobody names any more. Pure.

A file is collected only if its key is unchanged since: every submit writes it again, so a submit at the same time wins.
"""

from __future__ import annotations

from collections.abc import Iterator

from inaetics.fleet import keys
from inaetics.fleet.model import Snapshot
from inaetics.store.protocol import Delete, ModIs

_AT_ONCE = 50


def collections(snapshot: Snapshot) -> Iterator[tuple[list[Delete], list[ModIs]]]:
    """Yield what to delete together, with the guards."""
    named = {unit.content_hash for unit in snapshot.units.values()}
    named |= {placement.content_hash for placement in snapshot.placements.values()}
    for rollout in snapshot.rollouts.values():
        named |= {rollout.old_hash, rollout.new_hash}
    unused = [(each, snapshot.files[each]) for each in sorted(snapshot.files.keys() - named)]
    for start in range(0, len(unused), _AT_ONCE):
        some = unused[start : start + _AT_ONCE]
        yield (
            [Delete(key=keys.file(content_hash)) for content_hash, _ in some],
            [ModIs(key=keys.file(content_hash), revision=file.revision) for content_hash, file in some],
        )
