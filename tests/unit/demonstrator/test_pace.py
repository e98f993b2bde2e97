"""When a producer is due: its rate holds, a full queue slows it down, an outage is not caught up."""

from __future__ import annotations

from itertools import pairwise

import pytest

from inaetics.demonstrator.bundles.producer.pace import MOST_A_BATCH, Pace
from inaetics.errors import InvalidInput


def _run(pace: Pace, seconds: float, *, begin: float = 0.0, accept: float = 1.0) -> list[tuple[float, int]]:
    """Every batch with its time, on a clock that jumps from one due time to the next."""
    now, batches = begin, []
    while now < begin + seconds:
        if count := pace.due(now):
            batches.append((now, count))
            pace.answered(count, int(count * accept))
        now += max(pace.pause(now), 0.0005)
    return batches


def _sum(batches: list[tuple[float, int]]) -> int:
    return sum(count for _, count in batches)


@pytest.mark.parametrize("rate", [1, 3, 500, 40_000, 400_000])
def test_the_rate_holds(rate: int) -> None:
    batches = _run(Pace(rate=rate, maximum=1e6, now=0), 20)
    assert _sum(batches) == pytest.approx(rate * 20, rel=0.02, abs=1)
    assert max(count for _, count in batches) <= MOST_A_BATCH


def test_batches_are_small_where_there_is_time() -> None:
    assert max(count for _, count in _run(Pace(rate=1000, maximum=1e6, now=0), 5)) <= 26


def test_a_burst_is_a_second_at_once() -> None:
    batches = _run(Pace(rate=2500, maximum=1e6, now=0, mode="burst"), 10)
    assert _sum(batches) == pytest.approx(25_000, rel=0.11)
    pauses = [later - earlier for (earlier, _), (later, _) in pairwise(batches)]
    assert sum(pause > 0.9 for pause in pauses) >= 8
    assert all(pause > 0.9 or pause < 0.01 for pause in pauses)


def test_a_full_queue_slows_down_and_an_empty_one_lets_recover() -> None:
    pace = Pace(rate=1000, maximum=1e6, now=0)
    free, full = _sum(_run(pace, 5)), _sum(_run(pace, 5, begin=5, accept=0.5))
    assert full < free / 10
    _run(pace, 5, begin=10)
    assert pace.effort == 1.0


def test_a_long_outage_is_not_caught_up() -> None:
    pace = Pace(rate=100, maximum=1e6, now=0)
    assert _sum(_run(pace, 0.1, begin=60)) <= 120


def test_nothing_is_due_at_rate_zero() -> None:
    assert _run(Pace(rate=0, maximum=10, now=0), 3) == []


@pytest.mark.parametrize("rate", [-1, 10.5, float("nan"), "fast", None, True])
def test_a_rate_out_of_range_is_refused_and_changes_nothing(rate: object) -> None:
    pace = Pace(rate=5, maximum=10, now=0)
    with pytest.raises(InvalidInput, match="0 to 10"):
        pace.set_rate(rate)  # type: ignore[arg-type]
    assert pace.rate == 5


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(InvalidInput, match="periodic, burst"):
        Pace(rate=5, maximum=10, now=0).set_mode("sometimes")
