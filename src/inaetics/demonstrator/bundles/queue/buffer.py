"""The queue's rules, pure: the caller gives the clock and keeps the lock.

Every sample accepted is queued, lent, or acknowledged, and in one of these only. Invariant:
`accepted == queued + in_flight + acknowledged`. Samples are held in blocks; nothing here looks at a single one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from inaetics.demonstrator.api import BlockDelivery, Cut, Outstanding, ProducerRecord, SampleBlock
from inaetics.demonstrator.blocks import part

EMPTY = BlockDelivery(0, [])
UNKNOWN = -1

MOST_FORGOTTEN = 4096
"""Names of lives that are over: calls of theirs may still be under way, and those are given up within seconds."""


@dataclass(slots=True)
class _Record:
    """What one life of a producer offered, and what its last block came to."""

    first: int
    frontier: int
    offered: int = 0
    accepted: int = 0
    refused: int = 0
    last: tuple[int, int] = (-1, 0)
    last_accepted: int = 0


class SampleBuffer:
    """A bounded first-in-first-out buffer with redelivery. `capacity` counts queued and lent samples together.

    Deliveries are numbered from `first_delivery` on. Queues that follow each other begin far apart: a processor that
    acknowledges what a dead queue lent it must not mean another one's delivery.
    """

    def __init__(self, *, capacity: int, redeliver_after_s: float, first_delivery: int = 1) -> None:
        self.capacity = capacity
        self._redeliver_after_s = redeliver_after_s
        self._waiting: deque[SampleBlock] = deque()
        self._lent: dict[int, tuple[float, list[SampleBlock]]] = {}
        self._records: dict[str, _Record] = {}
        self._over: dict[str, None] = {}
        self._next_delivery = first_delivery
        self.forgotten = 0
        self.queued = 0
        self.in_flight = 0
        self.accepted = 0
        self.refused = 0
        self.acknowledged = 0
        self.redelivered = 0

    @property
    def fill(self) -> float:
        """0 (empty) to 1 (the next sample is refused)."""
        return (self.queued + self.in_flight) / self.capacity

    @property
    def lent(self) -> int:
        """Deliveries that processors have in hand: as many processors are busy, at an instant."""
        return len(self._lent)

    def put(self, block: SampleBlock, *, again: bool = False) -> int:
        """As `SampleQueue.put_block`: each block is accepted once, however often it is offered."""
        record = self._records.get(block.producer)
        if again and record is not None and record.last == (block.first, block.count):
            return record.last_accepted
        if record is None and (again or block.producer in self._over):
            return UNKNOWN
        if record is not None and block.first < record.frontier:
            return UNKNOWN  # a call given up long ago that arrives now
        return self._offer(block)

    def offer(self, blocks: Iterable[SampleBlock]) -> int:
        """Accept what fits, from the front; returns how many samples. What was refused may be offered again."""
        return sum(self._offer(block) for block in blocks)

    def _offer(self, block: SampleBlock) -> int:
        taken = min(block.count, max(0, self.capacity - self.queued - self.in_flight))
        if taken:
            self._waiting.append(part(block, 0, taken))
            self.queued += taken
        self.accepted += taken
        self.refused += block.count - taken
        self._note(block, taken)
        return taken

    def _note(self, block: SampleBlock, taken: int) -> None:
        record = self._records.get(block.producer)
        if record is None:
            record = self._records[block.producer] = _Record(block.first, block.first)
        record.first = min(record.first, block.first)
        record.frontier = max(record.frontier, block.first + block.count)
        record.offered += block.count
        record.accepted += taken
        record.refused += block.count - taken
        record.last, record.last_accepted = (block.first, block.count), taken

    def lend(self, minimum: int, maximum: int, *, now: float) -> BlockDelivery:
        """Lend up to `maximum` samples, or EMPTY while there are fewer than `minimum`."""
        self._reclaim(now)
        if self.queued < max(1, minimum) or maximum < 1:
            return EMPTY
        blocks = self._front(min(maximum, self.queued))
        delivery = BlockDelivery(self._next_delivery, blocks)
        self._next_delivery += 1
        self._lent[delivery.id] = (now + self._redeliver_after_s, blocks)
        return delivery

    def acknowledge(self, delivery_id: int) -> bool:
        """Let go of a delivery for good; False when it is not lent (any more)."""
        lent = self._lent.pop(delivery_id, None)
        if lent is None:
            return False
        count = _count(lent[1])
        self.in_flight -= count
        self.acknowledged += count
        return True

    def forget(self, lives: Iterable[tuple[str, int]]) -> int:
        """As `SampleQueue.forget`."""
        lent = chain.from_iterable(blocks for _, blocks in self._lent.values())
        held = {block.producer for block in chain(self._waiting, lent)}
        before = self.forgotten
        for name, frontier in lives:
            record = self._records.get(name)
            if record is not None and record.frontier == frontier and name not in held:
                del self._records[name]
                self._over[name] = None
                self.forgotten += 1
        while len(self._over) > MOST_FORGOTTEN:
            del self._over[next(iter(self._over))]
        return self.forgotten - before

    def cut(self, *, queue: str, at_ms: int) -> Cut:
        """Everything known now."""
        lent = chain.from_iterable(blocks for _, blocks in self._lent.values())
        return Cut(
            queue,
            at_ms,
            self.queued,
            self.in_flight,
            [
                ProducerRecord(name, r.first, r.frontier, r.offered, r.accepted, r.refused)
                for name, r in self._records.items()
            ],
            [*_ranges(self._waiting, lent=False), *_ranges(lent, lent=True)],
            self.forgotten,
        )

    def _front(self, count: int) -> list[SampleBlock]:
        blocks, missing = [], count
        while missing:
            block = self._waiting.popleft()
            if block.count > missing:
                self._waiting.appendleft(part(block, missing, block.count))
                block = part(block, 0, missing)
            blocks.append(block)
            missing -= block.count
        self.queued -= count
        self.in_flight += count
        return blocks

    def _reclaim(self, now: float) -> None:
        # Deliveries are lent in time order, so the overdue ones are at the front.
        while self._lent:
            delivery_id, (due, blocks) = next(iter(self._lent.items()))
            if due > now:
                return
            del self._lent[delivery_id]
            count = _count(blocks)
            self.in_flight -= count
            self.queued += count
            self.redelivered += count
            self._waiting.extendleft(reversed(blocks))


def _count(blocks: Sequence[SampleBlock]) -> int:
    return sum(block.count for block in blocks)


def _ranges(blocks: Iterable[SampleBlock], *, lent: bool) -> list[Outstanding]:
    """The identities in these blocks; those that follow each other are one range."""
    merged: list[Outstanding] = []
    for producer, first, count in sorted((block.producer, block.first, block.count) for block in blocks):
        last = merged[-1] if merged else None
        if last is not None and (last.producer, last.first + last.count) == (producer, first):
            merged[-1] = Outstanding(producer, last.first, last.count + count, lent)
        else:
            merged.append(Outstanding(producer, first, count, lent))
    return merged
