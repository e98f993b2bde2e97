"""A processor: result1 = value1 + value2, at an adjustable cost. A batch is acknowledged only once its results are
stored.

Killed at any point, it loses nothing: an unacknowledged batch comes back to the queue, and the datastore knows the
samples it has.
"""

from __future__ import annotations

import time
from collections import deque

import msgspec
from pelix.framework import BundleContext
from pelix.ipopo.decorators import (
    ComponentFactory,
    Instantiate,
    Invalidate,
    Property,
    Provides,
    Requires,
    Validate,
)

from inaetics.demonstrator.api import (
    DATA_STORE,
    PIPELINE_CONTROL,
    PROCESSOR,
    SAMPLE_QUEUE,
    STATS_PROVIDER,
    BlockDelivery,
    DataStore,
    Result,
    Sample,
    SampleQueue,
    Stat,
)
from inaetics.demonstrator.blocks import of_samples, results_of
from inaetics.demonstrator.calls import Worker
from inaetics.demonstrator.settings import within

from .kernels import Kernel, kernel

MOST_A_BATCH = 1000

BATCH_S = 1.0
"""The longest that a batch may take to compute: well below the time after which the queue lends it again."""

RATE_OVER_S = 5.0
MOST_COST_US = 1_000_000


@ComponentFactory(__name__ + ".processor")
@Requires("_queue", SAMPLE_QUEUE)
@Requires("_store", DATA_STORE)
@Provides([PROCESSOR, PIPELINE_CONTROL, STATS_PROVIDER])
@Property("_exported", "service.exported.interfaces", [PIPELINE_CONTROL])
@Instantiate(__name__ + ".processor")
class Processor:
    """Works while there are a queue and a datastore."""

    _queue: SampleQueue
    _store: DataStore

    def __init__(self) -> None:
        self._processed = 0
        self._cost_us: float | None = None
        self._kernel: Kernel = kernel(0)
        self._recent: deque[tuple[float, int]] = deque([(time.monotonic(), 0)], maxlen=4096)
        self._worker = Worker("processor", self._step)

    @Validate
    def validate(self, context: BundleContext) -> None:
        if self._cost_us is None:
            self.set_cost(float(context.get_property("inaetics.processor.cost.us") or 0))
        self._worker = Worker("processor", self._step)
        self._worker.start()

    @Invalidate
    def invalidate(self, _context: BundleContext) -> None:
        self._worker.stop()

    def process(self, sample: Sample) -> Result:
        (block,) = of_samples([sample])
        (result,) = results_of(self._kernel.process(block))
        return result

    def set_cost(self, us: float) -> None:
        """What a sample costs, µs of processor time; 0 is the identity alone."""
        self._cost_us = within(us, MOST_COST_US, "a cost", "µs")
        self._kernel = kernel(self._cost_us)

    def set_utilisation(self, percent: float) -> None:
        """Processors take what there is."""
        within(percent, 100, "a utilisation", "%")

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
        delivery = msgspec.convert(self._queue.take_blocks(1, most), BlockDelivery)
        if delivery.blocks:
            self._store.store_blocks([self._kernel.process(block) for block in delivery.blocks])
            self._queue.acknowledge(delivery.id)
            self._processed += sum(block.count for block in delivery.blocks)
            self._recent.append((time.monotonic(), self._processed))
        return 0.0
