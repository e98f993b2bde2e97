"""What people set at all agents at once, and tokens that were right."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from typing_extensions import override

from inaetics.demonstrator.api import Word
from inaetics.demonstrator.bundles.viewer.knobs import BELIEVED_S, COST, MODE, UTILISATION, Knob, Knobs
from inaetics.demonstrator.bundles.viewer.permits import KEEP_S, MOST, Permits
from inaetics.errors import Unavailable
from tests.support.eventually import eventually


class Control:
    """A `PipelineControl` that hangs while `lets_go` is not set, or raises `error`."""

    def __init__(self, error: Exception | None = None) -> None:
        self.lets_go = threading.Event()
        self.lets_go.set()
        self.error = error
        self.heard: list[tuple[str, float | str]] = []

    def set_utilisation(self, percent: float) -> None:
        self.lets_go.wait()
        if self.error is not None:
            raise self.error
        self.heard.append((UTILISATION, percent))

    def set_cost(self, us: float) -> None:
        self.heard.append((COST, us))

    def set_mode(self, mode: str) -> None:
        self.heard.append((MODE, mode))

    def told(self) -> list[Word]:
        return []

    def rate(self) -> float:
        return 0.0


@pytest.fixture
def knobs() -> Iterator[Knobs]:
    knobs = Knobs()
    yield knobs
    knobs.stop()


def test_who_hangs_or_fails_is_named_and_the_others_are_told(knobs: Knobs) -> None:
    well, hangs, fails = Control(), Control(), Control(Unavailable("gone"))
    hangs.lets_go.clear()
    for name, control in (("celix@1", well), ("celix@2", hangs), ("celix@3", fails)):
        knobs.bind(name, control)
    try:
        assert knobs.set(UTILISATION, 50, within_s=2) == ["celix@2", "celix@3"]
        assert well.heard == [(UTILISATION, 50)]
    finally:
        hangs.lets_go.set()


def test_who_hung_is_told_the_last_word_only(knobs: Knobs) -> None:
    hangs = Control()
    knobs.bind("celix@1", hangs)
    hangs.lets_go.clear()
    for percent in (10, 20, 30):
        assert knobs.set(UTILISATION, percent, within_s=0.05) == ["celix@1"]
    hangs.lets_go.set()
    eventually(lambda: len(hangs.heard) == 2 or None, within_s=10, what="the calls are made")
    assert hangs.heard == [(UTILISATION, 10), (UTILISATION, 30)]
    assert knobs.set(UTILISATION, 40, within_s=10) == []


def test_who_could_not_be_told_is_told_again(knobs: Knobs) -> None:
    fails = Control(Unavailable("it is paused"))
    knobs.bind("celix@1", fails)
    assert knobs.set(UTILISATION, 50) == ["celix@1"]
    fails.error = None

    def told() -> bool | None:
        knobs.again()
        return bool(fails.heard) or None

    eventually(told, within_s=10, what="it is told again")
    assert knobs.set(COST, 5, within_s=10) == []
    knobs.again()
    assert knobs.set(COST, 6, within_s=10) == []
    assert sorted(fails.heard) == [(COST, 5), (COST, 6), (UTILISATION, 50)]


def test_everybody_who_waits_hears_that_it_was_done() -> None:
    hangs = Control()
    hangs.lets_go.clear()
    with ThreadPoolExecutor(1) as pool:
        knob = Knob("celix@1", hangs)
        waiting = [knob.want(pool, UTILISATION, percent) for percent in (10, 20, 30)]
        hangs.lets_go.set()
        assert [each.result(10) for each in waiting] == [True, True, True]


def test_who_comes_later_is_told_what_was_set(knobs: Knobs) -> None:
    first, second, third = Control(), Control(), Control()
    knobs.bind("celix@1", first)
    knobs.set(UTILISATION, 70)
    knobs.set(COST, 100)
    knobs.bind("celix@2", second)
    eventually(lambda: sorted(second.heard) == [(COST, 100), (UTILISATION, 70)] or None, within_s=10, what="it is told")
    knobs.unbind(first)
    knobs.bind("celix@3", third)
    knobs.set(UTILISATION, 0)
    assert (UTILISATION, 0) not in first.heard


class Knows(Control):
    """It was told before, so many seconds ago."""

    def __init__(self, **words: tuple[float | str, float]) -> None:
        super().__init__()
        self._words = [Word(method, value, age_s) for method, (value, age_s) in words.items()]

    @override
    def told(self) -> list[Word]:
        return self._words


def test_a_viewer_that_begins_learns_what_was_set_and_tells_who_does_not_know(knobs: Knobs) -> None:
    missed = Knows(set_utilisation=(10, 500))  # it hung when the others were told
    knows = Knows(set_utilisation=(40, 100), set_mode=("burst", 100), set_cost=(70, 300))
    new, later = Knows(), Knows()
    for name, control in (("celix@1", missed), ("new@1", new), ("producer@1", knows)):
        knobs.bind(name, control)
    everything: list[tuple[str, float | str]] = [(COST, 70), (MODE, "burst"), (UTILISATION, 40)]
    for control in (missed, new):
        eventually(partial(_heard, control, everything), within_s=10, what="all is told")
        assert control.heard[-1] != (UTILISATION, 10)
    knobs.bind("celix@2", later)
    eventually(lambda: sorted(later.heard) == everything or None, within_s=10, what="who starts later is told too")
    assert knobs.believed(MODE, []) == "burst"
    stale = Knows(set_utilisation=(10, 400))  # it was away when the others were told
    knobs.bind("celix@3", stale)
    eventually(partial(_heard, stale, everything), within_s=10, what="it is told what holds")
    assert knobs.believed(UTILISATION, []) == 40
    knobs.set(COST, 0)  # whatever else was to be told before has been
    assert (UTILISATION, 10) not in later.heard
    for control in (missed, new, stale):
        assert [word for word in control.heard if word[0] == UTILISATION][-1] == (UTILISATION, 40)


def _heard(control: Control, everything: list[tuple[str, float | str]]) -> bool:
    return set(everything) <= set(control.heard)


def test_what_is_said_here_is_younger_than_what_any_agent_brings(knobs: Knobs) -> None:
    first = Knows()
    knobs.bind("celix@1", first)
    assert knobs.set(UTILISATION, 90) == []
    returned = Knows(set_utilisation=(5, 0), set_cost=("much", 0), set_mode=("sometimes", 0), close=(1, 0))
    knobs.bind("celix@2", returned)
    eventually(lambda: returned.heard or None, within_s=10, what="it is told")
    knobs.set(COST, 1)
    assert returned.heard == [(UTILISATION, 90), (COST, 1)]
    assert first.heard == [(UTILISATION, 90), (COST, 1)]
    assert knobs.believed(MODE, []) is None


def test_who_cannot_say_what_it_was_told_is_told_all_the_same(knobs: Knobs) -> None:
    broken = Control()
    answer: Any = [["what", "is", "this"]]
    broken.told = lambda: answer  # type: ignore[method-assign]
    knobs.bind("celix@1", broken)
    assert knobs.set(UTILISATION, 50) == []
    assert broken.heard == [(UTILISATION, 50)]


def test_what_is_shown_as_set(knobs: Knobs, monkeypatch: pytest.MonkeyPatch) -> None:
    assert knobs.believed(UTILISATION, []) is None
    assert knobs.believed(UTILISATION, [10, 10]) == 10
    assert knobs.believed(UTILISATION, [10, 20]) is None
    knobs.set(UTILISATION, 80)
    assert knobs.believed(UTILISATION, [10, 10]) == 80  # they have not reported since
    monkeypatch.setattr("inaetics.demonstrator.bundles.viewer.knobs.BELIEVED_S", -BELIEVED_S)
    assert knobs.believed(UTILISATION, [10, 10]) == 10
    assert knobs.believed(UTILISATION, []) == 80


def test_a_right_token_is_believed_for_a_minute() -> None:
    permits = Permits()
    assert not permits.knows("right", now_s=0)
    permits.note("right", now_s=0)
    assert permits.knows("right", now_s=KEEP_S - 1)
    assert not permits.knows("wrong", now_s=0)
    assert not permits.knows("right", now_s=KEEP_S)
    assert b"right" not in repr(permits.__dict__).encode()


def test_tokens_remembered_are_bounded() -> None:
    permits = Permits()
    for number in range(2 * MOST):
        permits.note(str(number), now_s=0)
    assert sum(permits.knows(str(number), now_s=1) for number in range(2 * MOST)) == MOST
    permits.note("later", now_s=KEEP_S + 1)
    assert permits.knows("later", now_s=KEEP_S + 2)
