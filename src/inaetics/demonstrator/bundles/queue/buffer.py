"""The queue's rules, pure: the caller gives the clock and keeps the lock.

Every sample accepted is queued, lent, or acknowledged, and in one of these only. Invariant:
`accepted == queued + in_flight + acknowledged`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from inaetics.demonstrator.api import Delivery, Sample

EMPTY = Delivery(0, [])


class SampleBuffer:
    """A bounded first-in-first-out buffer with redelivery. `capacity` counts queued and lent samples together."""

    def __init__(self, *, capacity: int, redeliver_after_s: float) -> None:
        self._capacity = capacity
        self._redeliver_after_s = redeliver_after_s
        self._queued: deque[Sample] = deque()
        self._lent: dict[int, tuple[float, list[Sample]]] = {}
        self._next_delivery = 1
        self.in_flight = 0
        self.accepted = 0
        self.refused = 0
        self.acknowledged = 0
        self.redelivered = 0

    @property
    def queued(self) -> int:
        return len(self._queued)

    @property
    def fill(self) -> float:
        """0 (empty) to 1 (the next sample is refused)."""
        return (self.queued + self.in_flight) / self._capacity

    def offer(self, samples: Sequence[Sample]) -> int:
        """Accept what fits, from the front; returns how many."""
        room = self._capacity - self.queued - self.in_flight
        taken = samples[: max(0, room)]
        self._queued.extend(taken)
        self.accepted += len(taken)
        self.refused += len(samples) - len(taken)
        return len(taken)

    def lend(self, minimum: int, maximum: int, *, now: float) -> Delivery:
        """Lend up to `maximum` samples, or EMPTY while there are fewer than `minimum`."""
        self._reclaim(now)
        if self.queued < max(1, minimum):
            return EMPTY
        samples = [self._queued.popleft() for _ in range(min(maximum, self.queued))]
        delivery = Delivery(self._next_delivery, samples)
        self._next_delivery += 1
        self._lent[delivery.id] = (now + self._redeliver_after_s, samples)
        self.in_flight += len(samples)
        return delivery

    def acknowledge(self, delivery_id: int) -> bool:
        """Let go of a delivery for good; False when it is not lent (any more)."""
        lent = self._lent.pop(delivery_id, None)
        if lent is None:
            return False
        self.in_flight -= len(lent[1])
        self.acknowledged += len(lent[1])
        return True

    def _reclaim(self, now: float) -> None:
        # Deliveries are lent in time order, so the overdue ones are at the front.
        while self._lent:
            delivery_id, (due, samples) = next(iter(self._lent.items()))
            if due > now:
                return
            del self._lent[delivery_id]
            self.in_flight -= len(samples)
            self.redelivered += len(samples)
            self._queued.extendleft(reversed(samples))
