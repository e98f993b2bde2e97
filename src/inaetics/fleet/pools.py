"""Machines in the order in which a unit should try them: the least loaded first. Pure.

A pool holds the machines that satisfy one set of metadata and have some room; units that ask for the same share it.
Taking the first machine and noting one more unit on it cost the same however many machines there are (nearly: a list's
insertion).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence


class Pool:
    """Ranks of machines by load. A rank is a machine's place in the order of names, which breaks ties."""

    __slots__ = ("_buckets", "_loads", "_members")

    def __init__(self, loads: Iterable[tuple[int, int]]) -> None:
        """Take in (load, rank) of every machine."""
        self._buckets: dict[int, list[int]] = {}
        self._loads: list[int] = []
        """Sorted: loads that somebody has. What nobody has costs nothing."""
        self._members: set[int] = set()
        for load, rank in sorted(loads):
            self.put(rank, load)

    def __iter__(self) -> Iterator[int]:
        """Ranks, the least loaded first; stop iterating before changing a load."""
        for load in self._loads:
            yield from self._buckets[load]

    def __contains__(self, rank: int) -> bool:
        return rank in self._members

    def __len__(self) -> int:
        return len(self._members)

    def levels(self) -> Iterator[tuple[int, Sequence[int]]]:
        """Loads with the ranks that have them, the least load first."""
        for load in self._loads:
            yield load, self._buckets[load]

    def put(self, rank: int, load: int) -> None:
        """Take in one more member."""
        self._enter(rank, load)
        self._members.add(rank)

    def drop(self, rank: int, load: int) -> None:
        """Forget the member `rank`, whose load is `load`."""
        self._leave(rank, load)
        self._members.remove(rank)

    def reload(self, rank: int, old: int, new: int) -> None:
        """Note that the load of the member `rank` went from `old` to `new`."""
        self._leave(rank, old)
        self._enter(rank, new)

    def _enter(self, rank: int, load: int) -> None:
        bucket = self._buckets.get(load)
        if bucket is None:
            self._buckets[load] = [rank]
            insort(self._loads, load)
        else:
            insort(bucket, rank)

    def _leave(self, rank: int, load: int) -> None:
        bucket = self._buckets[load]
        if len(bucket) == 1:
            del self._buckets[load], self._loads[bisect_left(self._loads, load)]
        else:
            del bucket[bisect_left(bucket, rank)]
