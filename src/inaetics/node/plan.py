"""From what an agent runs to what it shall run, in one step. Pure.

New bundles and new versions start beside the old ones, providers first; then what is not wanted any more stops, the
last started first. So a service that has a successor is never gone, and until everything new has started nothing old
was touched: going back is removing what is new.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inaetics.bundles.archive import Archive
from inaetics.bundles.requirements import check_language, start_order

REMEDY = "give this target a rule with bundles for Python, or run the image felix-agent:java there"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Start `start` in order, then stop `stop` in order. Both empty: nothing to do."""

    start: tuple[Archive, ...]
    stop: tuple[Archive, ...]

    @property
    def empty(self) -> bool:
        return not self.start and not self.stop


def plan(running: Sequence[Archive], wanted: Sequence[Archive]) -> Plan:
    """What leads from `running` (in the order they were started) to `wanted`.

    Bundles are the same when name, version and content are. Raises `InvalidInput` when `wanted` holds two versions of a
    bundle, misses a requirement, requires in a circle, or holds what no Python agent can run: nothing may be touched
    then.
    """
    check_language([archive.manifest for archive in wanted], "python", remedy=REMEDY)
    by_name = {archive.manifest.name: archive for archive in wanted}
    ordered = [by_name[manifest.name] for manifest in start_order([archive.manifest for archive in wanted])]
    here = {identity(archive) for archive in running}
    there = {identity(archive) for archive in wanted}
    return Plan(
        start=tuple(archive for archive in ordered if identity(archive) not in here),
        stop=tuple(archive for archive in reversed(running) if identity(archive) not in there),
    )


def identity(archive: Archive) -> tuple[str, str, str]:
    """What makes two archives the same: name, version and content."""
    return (archive.manifest.name, archive.manifest.version, archive.sha256)
