"""How many processors there should be, by what the queue says. Pure: the caller gives the clock.

Promises: what it does not know changes nothing; it never leaves the bounds; it explains itself in words. All times are
of one steady clock, the caller's: what hour it is at the queue or at a control host plays no part.

More: when the queue is above its high mark, refuses samples, or will be above the mark before another agent could help.
How many follows from what is offered (producers slow down when they are refused, so the most that was offered lately
counts) and from what a processor manages, which is what they finish in the time they have something in hand.

Fewer: when for a whole window the queue was below its low mark and half the rest would do. What remains is busy for six
tenths of its time at the most: far enough from both bounds that steady load with its noise moves nothing. A death looks
like more load: the queue rises.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

HORIZON_S = 8.0
"""An agent needs about four seconds to start, and its first seconds are slow."""

SLOPE_S = 2.0
"""Over which slope and rates are taken."""

RECENT_S = 10.0
"""Over which the most that was offered counts, and what a processor manages is measured."""

WINDOW_S = 30.0
"""Of quiet, before there are fewer."""

COOL_DOWN_S = 6.0
"""After more, before still more: the new ones shall show what they do."""

START_S = 15.0
"""How long agents that were asked for are waited for; after that the next one is asked for beside them."""

LATE_S = 3.0
"""Older figures say nothing."""

DRAIN_S = 8.0
"""In this time what has piled up is to be worked off."""

SPARE = 1.15
BUSY_AT_MOST, FEWER_BELOW = 0.6, 0.5
STEADY = 0.5
"""Percent a second; less is called steady."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """Percents of the queue."""

    low: float = 20.0
    high: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the queue said, received at `at_s`. The counters only grow while it lives; `lent` batches are in hand."""

    at_s: float
    fill_percent: float
    capacity: float
    accepted: float
    refused: float
    acknowledged: float
    lent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Agents:
    """How many are wanted and run, and the bounds."""

    wanted: int
    running: int
    least: int
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Have `count` agents (None: as many as there are), because."""

    count: int | None
    words: str


@dataclass(frozen=True, slots=True)
class _Rates:
    """At a reading, over the time of `SLOPE_S` before it."""

    slope: float
    offered: float
    refused: float


class Autoscaler:
    """`heard` takes readings in, `decide` says what to do. What was decided counts from then on."""

    def __init__(self, marks: Marks | None = None) -> None:
        self.marks = marks or Marks()
        self._readings: deque[Reading] = deque()
        self._rates: deque[tuple[float, _Rates]] = deque()
        self._changed_at = -math.inf
        self._wanted: int | None = None

    def heard(self, reading: Reading) -> None:
        """Take in a reading. One that goes back in time, or of a queue that began anew, voids those before."""
        last = self._readings[-1] if self._readings else None
        if last is not None and (reading.at_s <= last.at_s or _began_anew(last, reading)):
            self._readings.clear()
            self._rates.clear()
        self._readings.append(reading)
        if (rates := _rates(self._readings)) is not None:
            self._rates.append((reading.at_s, rates))
        _forget(self._readings, reading.at_s - WINDOW_S)
        while self._rates and self._rates[0][0] < reading.at_s - WINDOW_S:
            self._rates.popleft()

    def decide(self, now_s: float, agents: Agents) -> Verdict:
        """What to do at `now_s`."""
        if self._wanted is not None and agents.wanted != self._wanted:
            self._changed_at = now_s  # somebody else has changed it: what that does is to be seen first
        self._wanted = agents.wanted
        if not self._readings:
            return Verdict(count=None, words="nothing is known of the queue yet: nothing is changed")
        last = self._readings[-1]
        if (age := now_s - last.at_s) > LATE_S:
            return Verdict(count=None, words=f"the queue's figures are {age:.0f} s late: nothing is changed")
        if not self._rates:
            return Verdict(count=None, words=f"queue {last.fill_percent:.0f} %: looking how it moves")
        verdict = self._more(now_s, agents) or self._fewer(now_s, agents) or self._enough(agents)
        if verdict.count is not None:
            self._changed_at, self._wanted = now_s, verdict.count
        return verdict

    def look(self, now_s: float) -> str:
        """What is to be seen of the queue, in words; nothing is decided."""
        if not self._rates or now_s - self._readings[-1].at_s > LATE_S:
            return "the queue's figures are late" if self._readings else "nothing is known of the queue yet"
        return self._seen()

    def lost_sight(self, why: str) -> Verdict:
        """There is no queue to ask: what was known is void."""
        self._readings.clear()
        self._rates.clear()
        return Verdict(count=None, words=f"{why}: nothing is changed")

    def _more(self, now_s: float, agents: Agents) -> Verdict | None:
        fill, rates = self._readings[-1].fill_percent, self._rates[-1][1]
        refused = any(each.refused > 0 for each in self._lately(now_s, SLOPE_S))
        rises = rates.slope > STEADY and fill > self.marks.low / 2
        ahead = fill + rates.slope * HORIZON_S if rises else fill
        if not refused and max(fill, ahead) < self.marks.high:
            return None
        if not refused and rates.slope < -STEADY and fill + rates.slope * HORIZON_S < self.marks.high:
            return Verdict(count=None, words=f"{self._seen()}: it falls by itself, {_some(agents.wanted)} stay")
        need = self._needed(now_s, fill, refused)
        if agents.wanted >= agents.most:
            return Verdict(count=None, words=f"{self._seen()}: all {_some(agents.most)} there may be are there already")
        if waits := self._waits(now_s, agents, need):
            return Verdict(count=None, words=f"{self._seen()}: {waits}")
        count = min(max(need, agents.wanted + 1), agents.most)
        return Verdict(count=count, words=f"{self._seen()}: {agents.wanted} → {_some(count)}")

    def _waits(self, now_s: float, agents: Agents, need: int) -> str:
        """What is waited for before there are more; nothing when clearly more are needed than were asked for."""
        since = now_s - self._changed_at
        if since < COOL_DOWN_S and need > agents.wanted and since >= SLOPE_S / 2:
            return ""  # more is offered than could be seen then
        if agents.running < agents.wanted and since < START_S:
            return f"{_some(agents.wanted)} are asked for, {agents.running} run"
        return f"{_some(agents.wanted)} shall show what they do" if since < COOL_DOWN_S else ""

    def _needed(self, now_s: float, fill: float, refused: bool) -> int:
        """Processors for what is offered, and for what has piled up; 0 where nobody can say."""
        manages = self._manages(now_s)
        if manages <= 0:
            return 0
        offered = max((each.offered for each in self._lately(now_s, RECENT_S)), default=0.0)
        offered *= SPARE if refused else 1.0  # who is refused slows down, so there is more than can be seen
        piled = max(fill - self.marks.low, 0) / 100 * self._readings[-1].capacity / DRAIN_S
        needed = math.ceil((offered * SPARE + piled) / manages)
        return min(needed, math.ceil(offered / manages / BUSY_AT_MOST))

    def _manages(self, now_s: float) -> float:
        """Samples a second that one processor finishes while it has something in hand; 0 when nobody can say."""
        recent = [each for each in self._readings if each.at_s >= now_s - RECENT_S]
        in_hand = sum(each.lent for each in recent) / len(recent) if recent else 0.0
        if len(recent) < 2 or in_hand < 0.05:
            return 0.0
        span = recent[-1].at_s - recent[0].at_s
        return (recent[-1].acknowledged - recent[0].acknowledged) / span / in_hand

    def _fewer(self, now_s: float, agents: Agents) -> Verdict | None:
        window = list(self._readings)
        quiet = all(each.fill_percent < self.marks.low for each in window)
        quiet &= window[-1].refused == window[0].refused
        seen = window[-1].at_s - window[0].at_s >= WINDOW_S * 0.9
        if not (quiet and seen) or now_s - self._changed_at < WINDOW_S or agents.running < agents.wanted:
            return None
        busy = sum(each.lent for each in window) / len(window)
        count = max(math.ceil(busy / BUSY_AT_MOST), agents.least, 1)
        if count >= agents.wanted or busy > FEWER_BELOW * (agents.wanted - 1):
            return None
        return Verdict(
            count=count,
            words=f"{self._seen()}, {busy:.1f} of {_some(agents.wanted)} busy: {agents.wanted} → {_some(count)}",
        )

    def _enough(self, agents: Agents) -> Verdict:
        return Verdict(count=None, words=f"{self._seen()}: {_some(agents.wanted)} will do")

    def _seen(self) -> str:
        fill, rates = self._readings[-1].fill_percent, self._rates[-1][1]
        refuses = " and refusing samples" if rates.refused > 0 else ""
        if abs(rates.slope) < STEADY:
            return f"queue {fill:.0f} % and {'full, refusing samples' if refuses else 'steady'}"
        return (
            f"queue {fill:.0f} % and {'rising' if rates.slope > 0 else 'falling'} {abs(rates.slope):.0f} %/s{refuses}"
        )

    def _lately(self, now_s: float, span_s: float) -> list[_Rates]:
        return [rates for at_s, rates in self._rates if at_s >= now_s - span_s]


def _some(count: int) -> str:
    return f"{count} processor" if count == 1 else f"{count} processors"


def _began_anew(last: Reading, now: Reading) -> bool:
    return now.accepted < last.accepted or now.refused < last.refused or now.acknowledged < last.acknowledged


def _forget(readings: deque[Reading], before_s: float) -> None:
    while readings and readings[0].at_s < before_s:
        readings.popleft()


def _rates(readings: Sequence[Reading]) -> _Rates | None:
    """None until readings span half of the time that they are to be taken over."""
    last = readings[-1]
    first = next(each for each in readings if each.at_s >= last.at_s - SLOPE_S)
    span = last.at_s - first.at_s
    if span < SLOPE_S / 2:
        return None
    return _Rates(
        slope=(last.fill_percent - first.fill_percent) / span,
        offered=(last.accepted + last.refused - first.accepted - first.refused) / span,
        refused=(last.refused - first.refused) / span,
    )
