"""The accounting as a service: what it shows while there is nobody to ask."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from inaetics.demonstrator.api import Cut
from inaetics.demonstrator.bundles.accounting.component import OLD, Accounting
from inaetics.demonstrator.bundles.queue.buffer import SampleBuffer


class _Queue:
    def __init__(self) -> None:
        self.answers = True

    def cut(self) -> Cut:
        if not self.answers:
            raise TimeoutError("silent")
        return SampleBuffer(capacity=5, redeliver_after_s=5).cut(queue="q", at_ms=-1)


class _Store:
    def count(self, _cut: Cut) -> int:
        return 0


@pytest.fixture
def accounting() -> Accounting:
    accounting = Accounting()
    accounting._queue, accounting._store, accounting._producers = _Queue(), _Store(), []  # type: ignore[assignment]
    return accounting


def _silent(accounting: Accounting) -> None:
    accounting._queue.answers = False  # type: ignore[union-attr]
    with pytest.raises(TimeoutError):
        accounting._step()


def _gone(accounting: Accounting) -> None:
    accounting._queue = None
    accounting._step()


@pytest.mark.parametrize("ends", [_silent, _gone])
def test_old_figures_say_that_they_are_old(accounting: Accounting, ends: Callable[[Accounting], None]) -> None:
    accounting._step()
    fresh = accounting.latest()
    assert fresh is not None
    assert fresh.note == ""
    for _ in range(2):
        ends(accounting)
        old = accounting.latest()
        assert old is not None
        assert (old.at_ms, old.note) == (fresh.at_ms, OLD)


def test_a_snapshots_time_is_of_its_own_clock(accounting: Accounting) -> None:
    """The queue's host may be minutes away."""
    accounting._step()
    latest = accounting.latest()
    assert latest is not None
    assert latest.at_ms > 0
