"""Latency across hosts whose clocks differ: measured on one clock, never nonsense."""

from __future__ import annotations

import pytest

from inaetics.demonstrator.bundles.datastore.clocks import REMEMBERED, Clocks
from inaetics.demonstrator.bundles.datastore.latency import Latency

MINUTES = 7 * 60_000


@pytest.mark.parametrize("ahead", [0, MINUTES, -MINUTES])
def test_a_clock_that_differs_is_known_to_half_the_time_of_a_call(ahead: int) -> None:
    clocks = Clocks()
    clocks.heard("celix@1", 1000 + ahead + 8, asked_ms=1000, took_ms=10)
    told = clocks.ahead_ms("celix@1")
    assert told is not None
    assert abs(told - ahead) <= 5


def test_the_quickest_of_the_last_answers_counts() -> None:
    clocks = Clocks()
    clocks.heard("a", 1500, asked_ms=1000, took_ms=900)
    clocks.heard("a", 2001, asked_ms=2000, took_ms=2)
    clocks.heard("a", 3300, asked_ms=3000, took_ms=500)
    assert clocks.ahead_ms("a") == 0


def test_a_clock_that_was_set_is_believed_after_a_while() -> None:
    clocks = Clocks()
    clocks.heard("a", 1000, asked_ms=1000, took_ms=0)
    for n in range(REMEMBERED):
        clocks.heard("a", 2000 + n + MINUTES, asked_ms=2000 + n, took_ms=1)
    told = clocks.ahead_ms("a")
    assert told is not None
    assert abs(told - MINUTES) <= 1
    assert clocks.apart_ms() == pytest.approx(MINUTES, abs=1)


def test_nothing_is_claimed_of_a_clock_that_nobody_asked() -> None:
    clocks = Clocks()
    assert clocks.ahead_ms("a") is None
    assert clocks.apart_ms() == 0
    clocks.heard("a", 5, asked_ms=0, took_ms=0)
    clocks.forget("a")
    assert clocks.ahead_ms("a") is None


def test_a_latency_is_never_below_nothing() -> None:
    latency = Latency()
    latency.add(1.0, -0.4, 3.0)
    assert (latency.percentile(0, 1.0), latency.percentile(99, 1.0)) == (0.0, 3.0)
