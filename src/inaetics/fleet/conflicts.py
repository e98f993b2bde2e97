"""Which machines hold a unit that excludes another by name. Pure; both directions, each at constant cost.

Patterns are globs. They are indexed by what stands before their first wildcard, so that a name meets only the patterns
that can match it, and a pattern only the names that it can match.
"""

from __future__ import annotations

import re
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from fnmatch import translate

from inaetics.fleet.model import MachineId, UnitName

_WILDCARD = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class _Glob:
    text: str
    prefix: str
    matches: re.Pattern[str]


def _glob(pattern: str) -> _Glob:
    return _Glob(pattern, _WILDCARD.split(pattern, maxsplit=1)[0], re.compile(translate(pattern)))


def matches(pattern: str, name: str) -> bool:
    """Whether the glob `pattern` covers `name`; case counts, on every system."""
    return pattern == name or re.match(translate(pattern), name) is not None


Counts = dict[MachineId, int]


@dataclass(slots=True)
class ConflictIndex:
    """Names and patterns of what is placed where. A pattern once seen stays known until the index is dropped."""

    _globs: dict[str, _Glob] = field(default_factory=dict)
    _by_prefix: dict[str, list[_Glob]] = field(default_factory=dict)
    _lengths: list[int] = field(default_factory=list)
    _names: list[UnitName] = field(default_factory=list)
    """Sorted: the names of all placed units."""
    _where: defaultdict[UnitName, Counts] = field(default_factory=lambda: defaultdict(dict))
    _matched: dict[str, Counts] = field(default_factory=dict)
    """Pattern → how many placed units it covers, by machine."""
    _carried: defaultdict[str, Counts] = field(default_factory=lambda: defaultdict(dict))
    """Pattern → how many placed units ask for it, by machine."""
    _covering: dict[UnitName, tuple[str, ...]] = field(default_factory=dict)

    def add(self, machine: MachineId, name: UnitName, patterns: Collection[str]) -> None:
        """Note that `name`, which excludes `patterns`, is on `machine`."""
        if not self._where[name]:
            insort(self._names, name)
        _count(self._where[name], machine, 1)
        for pattern in self.covering(name):
            _count(self._matched[pattern], machine, 1)
        for pattern in patterns:
            self._know(pattern)
            _count(self._carried[pattern], machine, 1)

    def remove(self, machine: MachineId, name: UnitName, patterns: Collection[str]) -> None:
        """Take back one `add`."""
        _count(self._where[name], machine, -1)
        if not self._where[name]:
            del self._where[name], self._names[bisect_left(self._names, name)]
        for pattern in self.covering(name):
            _count(self._matched[pattern], machine, -1)
        for pattern in patterns:
            _count(self._carried[pattern], machine, -1)

    def excluded(self, name: UnitName, patterns: Collection[str]) -> list[Collection[MachineId]]:
        """Collections of machines; `name`, which excludes `patterns`, may be on none that is in any of them."""
        for pattern in patterns:
            self._know(pattern)
        found: list[Collection[MachineId]] = [self._matched[pattern] for pattern in patterns]
        found += [self._carried[pattern] for pattern in self.covering(name) if pattern in self._carried]
        return found

    def covering(self, name: UnitName) -> tuple[str, ...]:
        """The known patterns that cover `name`, in order of their text."""
        known = self._covering.get(name)
        if known is None:
            known = self._covering[name] = tuple(sorted(self._find(name)))
        return known

    def _find(self, name: UnitName) -> Iterator[str]:
        for length in self._lengths:
            for glob in self._by_prefix.get(name[:length], ()):
                if len(glob.prefix) == length and glob.matches.match(name):
                    yield glob.text

    def _know(self, pattern: str) -> None:
        if pattern in self._globs:
            return
        glob = self._globs[pattern] = _glob(pattern)
        self._by_prefix.setdefault(glob.prefix, []).append(glob)
        if len(glob.prefix) not in self._lengths:
            insort(self._lengths, len(glob.prefix))
        self._covering.clear()
        counts = self._matched[pattern] = Counts()
        for name in self._beginning_with(glob.prefix):
            if glob.matches.match(name):
                for machine, count in self._where[name].items():
                    _count(counts, machine, count)

    def _beginning_with(self, prefix: str) -> Iterator[UnitName]:
        for index in range(bisect_left(self._names, prefix), len(self._names)):
            if not self._names[index].startswith(prefix):
                return
            yield self._names[index]


def _count(counts: Counts, machine: MachineId, by: int) -> None:
    count = counts.get(machine, 0) + by
    if count:
        counts[machine] = count
    else:
        counts.pop(machine, None)
