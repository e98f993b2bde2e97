"""A processor: result1 = value1 + value2. A batch is acknowledged only once its results are stored.

Killed at any point, it loses nothing: an unacknowledged batch comes back to the queue, and the datastore knows the
samples it has.
"""

from __future__ import annotations

import time

import msgspec
from pelix.framework import BundleContext
from pelix.ipopo.decorators import (
    ComponentFactory,
    Instantiate,
    Invalidate,
    Provides,
    Requires,
    Validate,
)

from inaetics.demonstrator.api import (
    DATA_STORE,
    PROCESSOR,
    SAMPLE_QUEUE,
    STATS_PROVIDER,
    DataStore,
    Delivery,
    Result,
    Sample,
    SampleQueue,
    Stat,
)
from inaetics.demonstrator.calls import Worker

MOST_A_BATCH = 200


@ComponentFactory(__name__ + ".processor")
@Requires("_queue", SAMPLE_QUEUE)
@Requires("_store", DATA_STORE)
@Provides([PROCESSOR, STATS_PROVIDER])
@Instantiate(__name__ + ".processor")
class Processor:
    """Works while there are a queue and a datastore."""

    _queue: SampleQueue
    _store: DataStore

    def __init__(self) -> None:
        self._processed = 0
        self._worker = Worker("processor", self._step)

    @Validate
    def validate(self, _context: BundleContext) -> None:
        self._worker = Worker("processor", self._step)
        self._worker.start()

    @Invalidate
    def invalidate(self, _context: BundleContext) -> None:
        self._worker.stop()

    def process(self, sample: Sample) -> Result:
        return Result(round(time.time() * 1000), sample.value1 + sample.value2, sample)

    def stats(self) -> list[Stat]:
        return [Stat("processed", "counter", "samples", self._processed)]

    def _step(self) -> float:
        delivery = msgspec.convert(self._queue.take_min_max(1, MOST_A_BATCH), Delivery)
        if delivery.samples:
            self._store.store_all([self.process(sample) for sample in delivery.samples])
            self._queue.acknowledge(delivery.id)
            self._processed += len(delivery.samples)
        return 0.0
