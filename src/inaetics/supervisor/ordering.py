"""Who needs whom, who waits for whom and who cannot be with whom, among the units of one host. Pure.

Requires, Requisite, Wants, BindsTo, PartOf, Conflicts, After and Before. Units without any of these cost nothing
here. Names of units that this host does not know mean nothing for the order, as in systemd.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from inaetics.units.service_model import ServiceSpec

_Index = dict[str, dict[str, set[str]]]
"""Unit → related unit → the units that said so (A's After=B and B's Before=A are one relation)."""


class Ordering:
    """The relations between units, kept in both directions."""

    def __init__(self) -> None:
        self._specs: dict[str, ServiceSpec] = {}
        self._after: _Index = {}
        self._before: _Index = {}
        self._requirers: _Index = {}
        self._bound: _Index = {}
        self._parts: _Index = {}
        self._opposed: _Index = {}

    def put(self, spec: ServiceSpec) -> None:
        """Take in a unit, or what it says now."""
        self.drop(spec.name)
        self._specs[spec.name] = spec
        for index, key, other in self._edges(spec):
            index.setdefault(key, {}).setdefault(other, set()).add(spec.name)

    def drop(self, name: str) -> None:
        """Forget what a unit says; what others say about it stays."""
        spec = self._specs.pop(name, None)
        if spec is None:
            return
        for index, key, other in self._edges(spec):
            sayers = index.get(key, {}).get(other, set())
            sayers.discard(name)
            if not sayers and other in index.get(key, {}):
                del index[key][other]
                if not index[key]:
                    del index[key]

    def needed_by(self, name: str) -> list[str]:
        """Return `name` and all units that its start starts too; names that are not known are left out."""
        found: dict[str, None] = {}
        todo = [name]
        while todo:
            current = todo.pop()
            spec = self._specs.get(current)
            if spec is not None and current not in found:
                found[current] = None
                todo.extend((*spec.requires, *spec.binds_to, *spec.wants))
        return list(found)

    def missing(self, name: str) -> list[str]:
        """Return the units that `name` cannot do without and this host does not have."""
        spec = self._specs[name]
        needed = (*spec.requires, *spec.binds_to, *spec.requisite)
        return [other for other in needed if other not in self._specs]

    def requisite(self, name: str) -> tuple[str, ...]:
        """Return the units that must be up already when `name` is started."""
        return self._specs[name].requisite

    def opposed_to(self, name: str) -> list[str]:
        """Return the units that cannot be up while `name` is, whichever of the two says so."""
        return sorted({*self._specs[name].conflicts, *self._opposed.get(name, ())})

    def stopped_with(self, name: str) -> list[str]:
        """Return `name` and all units that cannot stay up without it, or are part of it."""
        found: dict[str, None] = {}
        todo = [name]
        while todo:
            current = todo.pop()
            if current not in found:
                found[current] = None
                todo.extend(sorted({*self._requirers.get(current, ()), *self._parts.get(current, ())}))
        return list(found)

    def bound_to(self, name: str) -> Iterable[str]:
        """Return the units that stop whenever `name` does."""
        return sorted(self._bound.get(name, ()))

    def required_first(self, name: str) -> list[str]:
        """Return the units that must be up before `name` may start."""
        spec = self._specs[name]
        after = self._after.get(name, {})
        return [other for other in (*spec.requires, *spec.binds_to) if other in after]

    def earlier(self, name: str, is_pending: Callable[[str], bool]) -> set[str]:
        """Return the pending units that `name` comes after. In a circle nobody waits."""
        return _neighbours(self._after, name, is_pending)

    def later(self, name: str, is_pending: Callable[[str], bool]) -> set[str]:
        """Return the pending units that come after `name`. In a circle nobody waits."""
        return _neighbours(self._before, name, is_pending)

    def _edges(self, spec: ServiceSpec) -> Iterable[tuple[_Index, str, str]]:
        """Yield every entry that a unit makes: in which index, whose, what."""
        for other in spec.after:
            yield self._after, spec.name, other
            yield self._before, other, spec.name
        for other in spec.before:
            yield self._after, other, spec.name
            yield self._before, spec.name, other
        for other in (*spec.requires, *spec.binds_to, *spec.requisite):
            yield self._requirers, other, spec.name
        for other in spec.binds_to:
            yield self._bound, other, spec.name
        for other in spec.part_of:
            yield self._parts, other, spec.name
        for other in spec.conflicts:
            yield self._opposed, other, spec.name


def _neighbours(index: _Index, name: str, is_pending: Callable[[str], bool]) -> set[str]:
    near = {other for other in index.get(name, ()) if is_pending(other)}
    return {other for other in near if name not in _reach(index, other, is_pending)}


def _reach(index: _Index, start: str, is_pending: Callable[[str], bool]) -> set[str]:
    found: set[str] = set()
    todo = [start]
    while todo:
        for other in index.get(todo.pop(), ()):
            if other not in found and is_pending(other):
                found.add(other)
                todo.append(other)
    return found
