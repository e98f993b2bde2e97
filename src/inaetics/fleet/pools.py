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

    __slots__ = ("_buckets", "_members")

    def __init__(self, loads: Iterable[tuple[int, int]]) -> None:
        """Take in (load, rank) of every machine."""
        self._buckets: list[list[int]] = []
        self._members: set[int] = set()
        for load, rank in sorted(loads):
            self._bucket(load).append(rank)
            self._members.add(rank)

    def __iter__(self) -> Iterator[int]:
        """Ranks, the least loaded first; stop iterating before changing a load."""
        for bucket in self._buckets:
            yield from bucket

    def __contains__(self, rank: int) -> bool:
        return rank in self._members

    def __len__(self) -> int:
        return len(self._members)

    def levels(self) -> Iterator[tuple[int, Sequence[int]]]:
        """Loads with the ranks that have them, the least load first."""
        return ((load, bucket) for load, bucket in enumerate(self._buckets) if bucket)

    def put(self, rank: int, load: int) -> None:
        """Take in one more member."""
        insort(self._bucket(load), rank)
        self._members.add(rank)

    def drop(self, rank: int, load: int) -> None:
        """Forget the member `rank`, whose load is `load`."""
        bucket = self._buckets[load]
        del bucket[bisect_left(bucket, rank)]
        self._members.remove(rank)

    def reload(self, rank: int, old: int, new: int) -> None:
        """Note that the load of the member `rank` went from `old` to `new`."""
        bucket = self._buckets[old]
        del bucket[bisect_left(bucket, rank)]
        insort(self._bucket(new), rank)

    def _bucket(self, load: int) -> list[int]:
        while len(self._buckets) <= load:
            self._buckets.append([])
        return self._buckets[load]
