"""What a producer counted, life by life, at each of its last calls; pure."""

from __future__ import annotations

from collections import deque

from inaetics.demonstrator.api import Ledger

CALLS = 4096
"""Remembered of the life that goes on: a minute and more at the usual pace."""

ENDED = 64
"""Lives that ended, of which the last state is remembered."""


class Lives:
    """The present life is `name`. `produced`, `refused` and `undecided` count over all lives, for graphs."""

    def __init__(self) -> None:
        self.name = ""
        self.produced = 0
        self.refused = 0
        self.undecided = 0
        self._now = Ledger("", 0, 0, 0)
        self._calls: deque[Ledger] = deque(maxlen=CALLS)
        self._ended: deque[Ledger] = deque(maxlen=ENDED)

    def begin(self, name: str) -> None:
        """A new life: its sequences begin at 0."""
        if self.name:
            self._ended.append(self._now)
        self.name = name
        self._calls.clear()
        self._now = Ledger(name, 0, 0, 0)
        self._calls.append(self._now)

    @property
    def next(self) -> int:
        """The sequence of the next sample."""
        return self._now.produced

    def offered(self, count: int) -> None:
        """A call began: until it is answered nobody knows."""
        before = self._now
        self.produced += count
        self.undecided += count
        self._now = Ledger(self.name, before.produced + count, before.refused, before.undecided + count)

    def answered(self, count: int, refused: int) -> None:
        """It was answered."""
        before = self._now
        self.refused += refused
        self.undecided -= count
        self._now = Ledger(self.name, before.produced, before.refused + refused, before.undecided - count)
        self._calls.append(self._now)

    def at(self, producer: str, frontier: int) -> Ledger | None:
        """As `Producer.at`."""
        if frontier < 0:
            known = [*self._ended, self._now]
            return next((ledger for ledger in known if ledger.producer == producer), None)
        found = (ledger for ledger in reversed(self._calls) if ledger.produced == frontier)
        return next((ledger for ledger in found if ledger.producer == producer), None)
