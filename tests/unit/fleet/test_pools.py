"""A pool keeps machines in the order of their loads, whatever happens."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from inaetics.fleet.pools import Pool


@settings(deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=8), st.lists(st.tuples(st.integers(0, 7), st.integers(0, 6))))
def test_the_least_loaded_comes_first_and_ties_go_by_rank(loads: list[int], changes: list[tuple[int, int]]) -> None:
    """Seen to fail when a machine stays in its old bucket too."""
    pool = Pool((load, rank) for rank, load in enumerate(loads))
    for rank, load in changes:
        if rank < len(loads):
            pool.reload(rank, loads[rank], load)
            loads[rank] = load
    assert list(pool) == sorted(range(len(loads)), key=lambda rank: (loads[rank], rank))
    assert len(pool) == len(loads)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.none() | st.integers(0, 6)), max_size=40))
def test_members_come_and_go(changes: list[tuple[int, int | None]]) -> None:
    """Seen to fail when the first bucket that holds something is not looked for again."""
    pool = Pool(())
    loads: dict[int, int] = {}
    for rank, load in changes:
        if load is None:
            if rank in loads:
                pool.drop(rank, loads.pop(rank))
        elif rank in loads:
            pool.reload(rank, loads[rank], load)
            loads[rank] = load
        else:
            pool.put(rank, load)
            loads[rank] = load
        assert list(pool) == sorted(loads, key=lambda each: (loads[each], each))
        assert [(load, list(ranks)) for load, ranks in pool.levels()] == [
            (load, sorted(each for each in loads if loads[each] == load)) for load in sorted(set(loads.values()))
        ]
