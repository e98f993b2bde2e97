"""How far the clocks of producers' hosts are from ours, pure: a latency across two hosts is measured on two clocks.

A producer is asked for its clock again and again. The answer was given at some time between question and answer; half
of that is the most the estimate errs by (as in NTP), so of the last `REMEMBERED` the quickest answer counts.
"""

from __future__ import annotations

from collections import deque

REMEMBERED = 4


class Clocks:
    """By agent. Not safe for threads."""

    def __init__(self) -> None:
        self._heard: dict[str, deque[tuple[float, float]]] = {}

    def heard(self, agent: str, theirs_ms: float, *, asked_ms: float, took_ms: float) -> None:
        """Its clock said `theirs_ms`, asked when ours said `asked_ms`; the answer was here `took_ms` later."""
        ahead_ms = theirs_ms - (asked_ms + took_ms / 2)
        self._heard.setdefault(agent, deque(maxlen=REMEMBERED)).append((took_ms, ahead_ms))

    def forget(self, agent: str) -> None:
        self._heard.pop(agent, None)

    def ahead_ms(self, agent: str) -> float | None:
        """How far it is ahead of ours; None when it has not said anything yet."""
        heard = self._heard.get(agent)
        return min(heard)[1] if heard else None

    def apart_ms(self) -> float:
        """The largest difference from ours; 0 when nobody has said anything."""
        return max((abs(min(heard)[1]) for heard in self._heard.values()), default=0.0)
