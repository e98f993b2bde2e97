"""`SpreadBy=`: how many instances of a template are where each value of a metadata key is. Pure.

The values are kept in the order of their counts, so that asking for the emptiest costs the same however many there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from inaetics.fleet.model import UnitName, natural
from inaetics.fleet.pools import Pool

Group = tuple[str, str]
"""A template, and the metadata key its instances are spread by."""


def template_of(unit: UnitName) -> str:
    """`felix@.service` for `felix@1.service`; a unit without instances is its own."""
    prefix, at, rest = unit.partition("@")
    return f"{prefix}@.{rest.rpartition('.')[2]}" if at else unit


class Spread:
    """Counts of instances by value; `counts` names every value, also those that have none."""

    __slots__ = ("_counts", "_pool", "_ranks", "_values")

    def __init__(self, counts: Mapping[str, int]) -> None:
        self._counts = dict(counts)
        self._values = sorted(counts, key=lambda value: (natural(value), value))
        self._ranks = {value: rank for rank, value in enumerate(self._values)}
        self._pool = Pool((counts[value], rank) for rank, value in enumerate(self._values))

    def note(self, value: str, by: int) -> None:
        """Count one more instance (or, with -1, one less) where `value` is."""
        old = self._counts[value]
        self._counts[value] = old + by
        self._pool.reload(self._ranks[value], old, old + by)

    def count(self, value: str) -> int:
        return self._counts.get(value, 0)

    def levels(self) -> Iterator[tuple[int, Sequence[str]]]:
        """Counts with the values that have them, the smallest count first."""
        for count, ranks in self._pool.levels():
            yield count, [self._values[rank] for rank in ranks]
