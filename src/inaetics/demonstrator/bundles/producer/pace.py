"""When a producer is due and with how many samples, pure: the caller gives the clock (seconds, steady).

Periodic: evenly, in batches `INTERVAL_S` apart or closer, at most `MOST_A_BATCH` samples each. Burst: what a second
brings, all at once. A refusal halves the pace, each batch taken whole brings some of it back: a full queue slows its
producers down. What an outage of more than `MOST_BEHIND_S` missed is not caught up.
"""

from __future__ import annotations

from dataclasses import dataclass

from inaetics.demonstrator.api import BURST, MODES, PERIODIC
from inaetics.demonstrator.settings import Given, one_of, within

INTERVAL_S = 0.025
BURST_EVERY_S = 1.0
MOST_BEHIND_S = 1.0
MOST_A_BATCH = 1000

PREFIX = "inaetics.producer."
KNOWN = ("rate", "maximum", "mode")

RATE = 500
"""Samples a second, until somebody sets it."""

MAXIMUM = 5_000
MOST_MAXIMUM = 1_000_000
"""Samples a second; beyond what any machine makes in Python."""

SLOWEST = 1 / 64
RECOVERY = 1.05
"""Of the pace with every batch: from half to whole in 15 batches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """How a producer begins: samples a second, and one of `MODES`."""

    rate: float
    maximum: float
    mode: str


def beginning(given: Given) -> Beginning:
    """What a unit says of its producer. Raises `InvalidInput`."""
    maximum = given.number("maximum", MAXIMUM, least=1, most=MOST_MAXIMUM, unit="samples/s")
    rate = given.number("rate", min(RATE, maximum), least=0, most=maximum, unit="samples/s")
    return Beginning(rate=rate, maximum=maximum, mode=given.word("mode", PERIODIC, MODES))


class Pace:
    """`rate` and `maximum` are samples a second; `mode` is one of `MODES`; `effort` is 1 unless the queue was full."""

    def __init__(self, *, rate: float, maximum: float, now: float, mode: str = PERIODIC) -> None:
        self.maximum = maximum
        self.rate = rate
        self.mode = mode
        self.effort = 1.0
        self._last = now
        self._owed = 0.0
        self._burst_at = now

    def set_rate(self, rate: float) -> None:
        """Raises `InvalidInput` for what is no number from 0 to the maximum."""
        self.rate = within(rate, self.maximum, "a rate", "samples/s")

    def set_mode(self, mode: str) -> None:
        """Raises `InvalidInput`."""
        self.mode = one_of(mode, MODES, "a mode")

    def due(self, now: float) -> int:
        """How many samples to offer now, at once; they are not due again."""
        most = self.rate * self.effort * MOST_BEHIND_S
        self._owed = min(self._owed + (now - self._last) * self.rate * self.effort, most)
        self._last = now
        if self.mode == BURST:
            if now < self._burst_at:
                return 0
            if self._owed < MOST_A_BATCH:  # the last batch of this burst
                self._burst_at = max(self._burst_at + BURST_EVERY_S, now)
        count = min(int(self._owed + 1e-6), MOST_A_BATCH)
        self._owed = max(self._owed - count, 0.0)
        return count

    def answered(self, offered: int, accepted: int) -> None:
        """Slow down when the queue was full, else recover."""
        self.effort = max(self.effort / 2, SLOWEST) if accepted < offered else min(self.effort * RECOVERY, 1.0)

    def pause(self, now: float) -> float:
        """Seconds until something is due."""
        rate = self.rate * self.effort
        if self.mode == BURST:
            return 0.0 if now >= self._burst_at else min(self._burst_at - now, 0.25)
        if rate <= 0:
            return 0.25
        one, full = (1 - self._owed) / rate, (MOST_A_BATCH - self._owed) / rate
        return max(min(max(INTERVAL_S, one), full, 0.25) - (now - self._last), 0.0)
