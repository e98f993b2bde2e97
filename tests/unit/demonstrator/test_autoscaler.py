"""The autoscaler against a pipeline that is computed: loads that double, loads with noise, deaths, silence."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from inaetics.demonstrator.bundles.coordinator.autoscaler import Agents, Autoscaler, Marks, Reading

CAPACITY = 20_000
STEP_S = 0.125
READ_EVERY = 4
START_S = 4.0
HIGH = Marks().high
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
"""An example is minutes of a pipeline: a smaller one is not worth looking for."""


@dataclass
class Pipeline:
    """Producers that halve their pace when they are refused, a queue, processors that need `START_S` to start.

    It is a fluid: what a step brings is a fraction. `manages`: samples a second of one processor. `noise` moves what is
    offered and what is finished, each step, by up to that share.
    """

    load: float
    manages: float
    processors: int
    most: int = 200
    noise: float = 0.0
    seed: int = 0
    clock_s: float = 1_000_000.0
    queued: float = 0.0
    wanted: int = 0
    starting: list[float] = field(default_factory=list)
    changes: list[tuple[float, int, int, str]] = field(default_factory=list)
    fills: list[tuple[float, float]] = field(default_factory=list)
    words: str = ""

    def __post_init__(self) -> None:
        self.wanted = self.processors
        self.began_s = self.clock_s
        self._random = random.Random(self.seed)
        self._effort = 1.0
        self._accepted = self._refused = self._acknowledged = 0.0
        self.scaler = Autoscaler()

    @property
    def at_s(self) -> float:
        return self.clock_s - self.began_s

    @property
    def fill(self) -> float:
        """What processors have in hand is in it, until they are done."""
        return 100 * self.queued / CAPACITY

    def run(self, seconds: float, *, deciding: bool = True, until: Callable[[], bool] = lambda: False) -> None:
        for step in range(round(seconds / STEP_S)):
            self._flow()
            self.fills.append((self.at_s, self.fill))
            if step % READ_EVERY == 0:
                self.scaler.heard(self.reading())
                if deciding:
                    self._decide()
            if until():
                return

    def kill(self) -> None:
        """A processor dies; the fleet starts it elsewhere once its machine counts as lost."""
        self.processors -= 1
        self.starting.append(self.clock_s + 6 + START_S)

    def reading(self) -> Reading:
        return Reading(
            at_s=self.clock_s,
            fill_percent=min(self.fill, 100.0),
            capacity=CAPACITY,
            accepted=int(self._accepted),
            refused=int(self._refused),
            acknowledged=int(self._acknowledged),
            lent=self._busy(),
        )

    def agents(self) -> Agents:
        return Agents(wanted=self.wanted, running=self.processors, least=1, most=self.most)

    def _busy(self) -> int:
        """At an instant a processor has a batch or has none."""
        exact = self._share * self.processors
        return int(exact) + (self._random.random() < exact - int(exact))

    _share: float = 0.0

    def _wobble(self) -> float:
        return 1 + self.noise * (2 * self._random.random() - 1)

    def _flow(self) -> None:
        self.clock_s += STEP_S
        for ready in [each for each in self.starting if each <= self.clock_s]:
            self.starting.remove(ready)
            self.processors += 1
        offered = self.load * self._effort * STEP_S * self._wobble()
        taken = min(offered, max(0.0, CAPACITY - self.queued))
        self._accepted += taken
        self._refused += offered - taken
        # A producer asks 40 times a second: half its pace at each refusal, a twentieth more at each success.
        self._effort = max(self._effort / 2**2, 1 / 64) if taken < offered - 1 else min(self._effort * 1.05**4, 1.0)
        self.queued += taken
        able = self.processors * self.manages * STEP_S * self._wobble()
        done = min(able, self.queued)
        self.queued -= done
        self._acknowledged += done
        self._share = done / able if able else 0.0

    def _decide(self) -> None:
        verdict = self.scaler.decide(self.clock_s, self.agents())
        self.words = verdict.words
        if verdict.count is None:
            return
        assert verdict.count != self.wanted
        assert 1 <= verdict.count <= self.most
        self.changes.append((self.at_s, self.wanted, verdict.count, verdict.words))
        more = verdict.count - self.wanted
        self.starting += [self.clock_s + START_S] * max(more, 0)
        self.processors += min(more, 0)
        self.wanted = verdict.count


def steady(pipeline: Pipeline) -> None:
    """Let it find its number."""
    pipeline.run(150)
    pipeline.changes.clear()


loads = {
    "manages": st.floats(200, 5000),
    "needs": st.floats(0.2, 8),
    "noise": st.sampled_from([0.0, 0.1, 0.3]),
    "seed": st.integers(0, 10_000),
}


@settings(max_examples=15, deadline=None, phases=PHASES)
@given(**loads)
def test_a_load_that_doubles_is_below_the_high_mark_within_20_s(
    manages: float, needs: float, noise: float, seed: int
) -> None:
    pipeline = Pipeline(load=needs * manages, manages=manages, processors=max(1, round(needs)), noise=noise, seed=seed)
    steady(pipeline)
    pipeline.fills.clear()
    began = pipeline.at_s
    pipeline.load *= 2
    pipeline.run(90)
    late = [(at - began, fill) for at, fill in pipeline.fills if at > began + 20 and fill >= HIGH]
    assert not late, (late[:3], pipeline.changes)


@settings(max_examples=10, deadline=None, phases=PHASES)
@given(**loads, processors=st.integers(1, 20))
def test_with_steady_load_the_number_does_not_swing(
    manages: float, needs: float, noise: float, seed: int, processors: int
) -> None:
    pipeline = Pipeline(load=needs * manages, manages=manages, processors=processors, noise=noise, seed=seed)
    steady(pipeline)
    pipeline.run(300)
    assert len(pipeline.changes) <= 1, pipeline.changes
    assert pipeline.processors * manages >= pipeline.load


def test_a_load_that_ends_leaves_the_least() -> None:
    pipeline = Pipeline(load=3000, manages=1000, processors=4)
    steady(pipeline)
    pipeline.load = 0
    pipeline.run(120)
    assert pipeline.wanted == 1
    assert all(after < before for _, before, after, _ in pipeline.changes)
    assert pipeline.changes[-1][3] == "queue 0 % and steady, 0.0 of 3 processors busy: 3 → 1 processor"


def test_a_death_is_more_load() -> None:
    """Of two processors that were busy one dies: what piles up is worked off, as after more load."""
    pipeline = Pipeline(load=9000, manages=5000, processors=2)
    pipeline.run(60)
    pipeline.changes.clear()
    pipeline.fills.clear()
    before, began = pipeline.wanted, pipeline.at_s
    for _ in range(before - 1):
        pipeline.kill()
    pipeline.run(60)
    assert pipeline.changes, "it saw nothing"
    assert all(after > before for _, before, after, _ in pipeline.changes)
    assert not [fill for at, fill in pipeline.fills if at > began + 20 and fill >= HIGH]


def test_it_explains_itself_in_words() -> None:
    pipeline = Pipeline(load=8000, manages=3000, processors=2, noise=0.0)
    pipeline.run(30, until=lambda: bool(pipeline.changes))
    _, before, after, words = pipeline.changes[0]
    assert (before, after) == (2, 4)
    assert words == "queue 11 % and rising 10 %/s: 2 → 4 processors"


def test_it_stays_within_the_bounds_and_says_that_they_are_reached() -> None:
    pipeline = Pipeline(load=9000, manages=1000, processors=2, most=3)
    pipeline.run(60)
    assert [(before, after) for _, before, after, _ in pipeline.changes] == [(2, 3)]
    assert pipeline.words.endswith("all 3 processors there may be are there already")
    assert "refusing samples" in pipeline.words


@pytest.mark.parametrize("late_s", [4, 60, 3600])
def test_figures_that_are_late_change_nothing(late_s: float) -> None:
    pipeline = Pipeline(load=8000, manages=3000, processors=2)
    pipeline.run(5, deciding=False)
    verdict = pipeline.scaler.decide(pipeline.clock_s + late_s, pipeline.agents())
    assert verdict.count is None
    assert verdict.words == f"the queue's figures are {late_s} s late: nothing is changed"


def test_a_queue_that_is_away_changes_nothing_and_its_return_begins_anew() -> None:
    pipeline = Pipeline(load=8000, manages=3000, processors=2)
    pipeline.run(5, deciding=False)
    verdict = pipeline.scaler.lost_sight("there is no queue")
    assert (verdict.count, verdict.words) == (None, "there is no queue: nothing is changed")
    pipeline.scaler.heard(pipeline.reading())
    assert pipeline.scaler.decide(pipeline.clock_s, pipeline.agents()).words.endswith("looking how it moves")


def test_before_anything_is_known_nothing_is_changed() -> None:
    verdict = Autoscaler().decide(0, Agents(wanted=2, running=2, least=1, most=9))
    assert (verdict.count, verdict.words) == (None, "nothing is known of the queue yet: nothing is changed")


@pytest.mark.parametrize("field", ["accepted", "refused", "acknowledged"])
def test_a_queue_that_began_anew_is_not_compared_with_the_one_before(field: str) -> None:
    scaler = Autoscaler()
    for second in range(5):
        counted = {"accepted": 1e6 + second, "refused": 1e6 + second, "acknowledged": 1e6 + second}
        scaler.heard(Reading(at_s=second, fill_percent=10, capacity=CAPACITY, lent=1, **counted))
    counted = {name: 0.0 if name == field else 2e6 for name in ("accepted", "refused", "acknowledged")}
    scaler.heard(Reading(at_s=5, fill_percent=0, capacity=CAPACITY, lent=0, **counted))
    assert scaler.decide(5, Agents(wanted=2, running=2, least=1, most=9)).words.endswith("looking how it moves")


@pytest.mark.parametrize("jump_s", [-3600.0, -0.5, 0.0, 3600.0])
def test_a_clock_that_jumps_changes_nothing_at_once(jump_s: float) -> None:
    pipeline = Pipeline(load=1000, manages=3000, processors=1)
    pipeline.run(40)
    pipeline.clock_s += jump_s - STEP_S
    pipeline.run(STEP_S)
    assert pipeline.changes == []


@pytest.mark.parametrize("offset_s", [-1e6, -1.0, 1.0, 4096.0])
def test_only_differences_of_time_count(offset_s: float) -> None:
    """What hour it is where the figures come from plays no part: they bring no time of their own."""
    runs = []
    for clock_s in (0.0, offset_s):
        pipeline = Pipeline(load=8000, manages=3000, processors=2, clock_s=clock_s)
        pipeline.run(15)
        runs.append([(before, after, words) for _, before, after, words in pipeline.changes])
    assert runs[0] == runs[1] != []
