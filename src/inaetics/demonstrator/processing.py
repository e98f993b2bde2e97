"""What every processor does, whatever computes its results: takes samples from the queue, has a kernel compute, stores,
acknowledges.

A batch is acknowledged only once its results are stored, with the call that takes the next. Killed at any point, a
processor loses nothing: an unacknowledged batch comes back to the queue, and the datastore knows the samples it has.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Protocol

import msgspec
from pelix.framework import BundleContext
from pelix.ipopo.decorators import Invalidate, Validate

from inaetics.demonstrator.api import (
    MODES,
    BlockDelivery,
    DataStore,
    Result,
    ResultBlock,
    Sample,
    SampleBlock,
    SampleQueue,
    Stat,
    Word,
)
from inaetics.demonstrator.blocks import of_samples, packed, results_of
from inaetics.demonstrator.calls import Worker
from inaetics.demonstrator.given import Checks, given
from inaetics.demonstrator.settings import one_of, within
from inaetics.demonstrator.told import Told
from inaetics.override import override

MOST_A_BATCH = 1000

BATCH_S = 1.0
"""The longest that a batch may take to compute: well below the time after which the queue lends it again."""

RATE_OVER_S = 5.0
MOST_COST_US = 1_000_000


def first_cost(context: BundleContext) -> float:
    """What a unit says a sample costs, µs. Raises `InvalidInput`."""
    return given(context, "inaetics.processor.", "cost.us").number("cost.us", 0, least=0, most=MOST_COST_US, unit="µs")


class CostCheck(Checks):
    """The activator of a processor's bundle."""

    @override
    def check(self, context: BundleContext) -> None:
        first_cost(context)


class Kernel(Protocol):
    """What computes. Kernels differ in what runs, not in what comes out: bit by bit the same (where both values are no
    numbers, which of them the sum keeps is nowhere laid down)."""

    def sums(self, left: bytes, right: bytes) -> bytes:
        """The column of the sums of two columns of floats."""

    def burn(self) -> None:
        """Compute something for about 20 µs."""


class Processing:
    """A processor without its bundle: a component class inherits it and says which kernel it has.

    It works while there are a queue and a datastore.
    """

    _queue: SampleQueue
    _store: DataStore

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._told = Told()
        self._processed = 0
        self._stored = 0
        self._cost_us: float | None = None
        self._recent: deque[tuple[float, int]] = deque([(time.monotonic(), 0)], maxlen=4096)
        self._worker = Worker("processor", self._step)

    @Validate
    def validate(self, context: BundleContext) -> None:
        if self._cost_us is None:
            self._cost_us = first_cost(context)
        self._stored = 0
        self._worker = Worker("processor", self._step)
        self._worker.start()

    @Invalidate
    def invalidate(self, _context: BundleContext) -> None:
        self._worker.stop()

    def process(self, sample: Sample) -> Result:
        (block,) = of_samples([sample])
        (result,) = results_of(self._result(block))
        return result

    def set_cost(self, us: float) -> None:
        """What a sample costs, µs of processor time; 0 is the sum alone."""
        self._cost_us = within(us, MOST_COST_US, "a cost", "µs")
        self._told.note("set_cost", self._cost_us)

    def set_utilisation(self, percent: float) -> None:
        """Processors take what there is."""
        self._told.note("set_utilisation", within(percent, 100, "a utilisation", "%"))

    def set_mode(self, mode: str) -> None:
        """Processors take what there is."""
        self._told.note("set_mode", one_of(mode, MODES, "a mode"))

    def told(self) -> list[Word]:
        return self._told.words()

    def rate(self) -> float:
        """Samples a second, over the last five."""
        now = time.monotonic()
        recent = [(at, count) for at, count in list(self._recent) if at >= now - RATE_OVER_S]
        first, last = (recent[0], recent[-1]) if recent else ((now, 0), (now, 0))
        return (last[1] - first[1]) / max(now - first[0], 1.0)

    def stats(self) -> list[Stat]:
        return [
            Stat("processed", "counter", "samples", self._processed),
            Stat("processing", "gauge", "samples/s", round(self.rate(), 1)),
            Stat("cost", "gauge", "µs", self._cost_us or 0),
        ]

    def _step(self) -> float:
        most = min(MOST_A_BATCH, int(BATCH_S * 1_000_000 / (self._cost_us or 1)) or 1)
        delivery = msgspec.convert(self._queue.take_blocks(1, most, self._stored), BlockDelivery)
        self._stored = 0
        if delivery.blocks:
            self._store.store_blocks([self._result(block) for block in delivery.blocks])
            self._stored = delivery.id
            if self._worker.stopping:  # there is no next call
                self._queue.acknowledge(delivery.id)
            self._processed += sum(block.count for block in delivery.blocks)
            self._recent.append((time.monotonic(), self._processed))
        return 0.0

    def _result(self, block: SampleBlock) -> ResultBlock:
        """result1 = value1 + value2, after as much processor time as it shall cost."""
        if self._cost_us:
            end = time.thread_time() + block.count * self._cost_us / 1_000_000
            while time.thread_time() < end:
                self._kernel.burn()
        now_ms = packed("q", [round(time.time() * 1000)]) * block.count
        return ResultBlock(now_ms, self._kernel.sums(block.value1, block.value2), block)
