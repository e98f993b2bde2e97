"""What a new version of the mapping changes at each target. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from inaetics.bundles.mapping import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """At `target`: bundles (``name@version``) that come and go; `changed` has ``name`` with both versions."""

    target: str
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[tuple[str, str, str], ...] = ()
    kept: int = 0
    why: str = ""
    """Which rule, or that it is held."""

    @property
    def empty(self) -> bool:
        return not (self.added or self.removed or self.changed)


def changes(before: Mapping | None, after: Mapping, targets: Collection[str]) -> tuple[Change, ...]:
    """The change of every target known or named by either mapping, in order; also those that change nothing."""
    named = after.named_targets | (before.named_targets if before else frozenset())
    return tuple(_change(before, after, target) for target in sorted({*targets, *named}))


def _change(before: Mapping | None, after: Mapping, target: str) -> Change:
    old = {bundle.name: bundle.version for bundle in (before.bundles_for(target) if before else ())}
    new = {bundle.name: bundle.version for bundle in after.bundles_for(target)}
    both = [name for name in new if name in old]
    return Change(
        target=target,
        added=tuple(f"{name}@{version}" for name, version in new.items() if name not in old),
        removed=tuple(f"{name}@{version}" for name, version in old.items() if name not in new),
        changed=tuple((name, old[name], new[name]) for name in both if old[name] != new[name]),
        kept=sum(old[name] == new[name] for name in both),
        why=_why(after, target),
    )


def _why(mapping: Mapping, target: str) -> str:
    if target in mapping.held:
        return "held"
    rule = mapping.rule_for(target)
    return f"rule {rule.name}" if rule else "no rule fits"
