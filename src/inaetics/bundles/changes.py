"""What a new version of the mapping changes at each target. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from inaetics.bundles.given import Pinned, given, named_targets, why
from inaetics.bundles.records import Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """At `target`: bundles (``name@version``) that come and go; `changed` has ``name`` with both versions.

    Where the version is the same and its archive another, each has the beginning of its hash: ``1.0.0 (12ab34cd)``.
    `starts` and `stops` are what the agent does, in its order, provided that it runs what it shall by now: all that
    starts stands beside what runs before anything stops.
    """

    target: str
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[tuple[str, str, str], ...] = ()
    kept: int = 0
    why: str = ""
    """Which rule, or that it is held."""
    starts: tuple[str, ...] = ()
    stops: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        return not (self.added or self.removed or self.changed)


def changes(before: Version | None, after: Version, targets: Collection[str]) -> tuple[Change, ...]:
    """The change of every target known or named by either version, in order; also those that change nothing."""
    named = named_targets(after) | (named_targets(before) if before else frozenset())
    return tuple(_change(before, after, target) for target in sorted({*targets, *named}))


def _change(before: Version | None, after: Version, target: str) -> Change:
    running, wanted = given(before, target) if before else (), given(after, target)
    old, new = ({bundle.name: bundle for bundle in bundles} for bundles in (running, wanted))
    both = [name for name in new if name in old]
    return Change(
        target=target,
        added=tuple(bundle.key for name, bundle in new.items() if name not in old),
        removed=tuple(bundle.key for name, bundle in old.items() if name not in new),
        changed=tuple((name, *_differs(old[name], new[name])) for name in both if old[name] != new[name]),
        kept=sum(old[name] == new[name] for name in both),
        why="held" if target in after.held else why(after, target),
        starts=tuple(bundle.key for bundle in wanted if bundle not in running),
        stops=tuple(bundle.key for bundle in reversed(running) if bundle not in wanted),
    )


def _differs(old: Pinned, new: Pinned) -> tuple[str, str]:
    """Both versions; of one that was replaced, which archives."""
    if old.version != new.version:
        return old.version, new.version
    return f"{old.version} ({old.sha256[:8]})", f"{new.version} ({new.sha256[:8]})"
