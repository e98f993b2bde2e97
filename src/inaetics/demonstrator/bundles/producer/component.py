"""A producer: so many samples a second, in small batches; what the queue does not take is counted as refused."""

from __future__ import annotations

import math
import time
import uuid

from pelix.framework import BundleContext
from pelix.ipopo.decorators import (
    ComponentFactory,
    Instantiate,
    Invalidate,
    Provides,
    Requires,
    Validate,
)

from inaetics.demonstrator.api import SAMPLE_QUEUE, STATS_PROVIDER, Sample, SampleQueue, Stat
from inaetics.demonstrator.calls import Worker

RATE = 500
"""Samples a second."""

INTERVAL_S = 0.1
"""Between two batches."""


@ComponentFactory(__name__ + ".producer")
@Requires("_queue", SAMPLE_QUEUE)
@Provides([STATS_PROVIDER])
@Instantiate(__name__ + ".producer")
class Producer:
    """Makes samples of two slow waves while there is a queue to put them into."""

    _queue: SampleQueue

    def __init__(self) -> None:
        self._produced = 0
        self._refused = 0
        self._due = 0.0
        self._name = ""
        self._worker = Worker("producer", self._step)

    @Validate
    def validate(self, context: BundleContext) -> None:
        """Start producing. Each life is a producer of its own, so that its sequence numbers may begin again."""
        self._name = f"{context.get_property('inaetics.agent')}/{uuid.uuid4().hex[:8]}"
        self._due = time.monotonic()
        self._worker = Worker("producer", self._step)
        self._worker.start()

    @Invalidate
    def invalidate(self, _context: BundleContext) -> None:
        self._worker.stop()

    def stats(self) -> list[Stat]:
        return [
            Stat("produced", "counter", "samples", self._produced),
            Stat("refused", "counter", "samples", self._refused),
        ]

    def _step(self) -> float:
        batch = self._batch(round(RATE * INTERVAL_S))
        self._produced += len(batch)
        accepted = self._queue.put_all(batch)
        self._refused += len(batch) - accepted
        # From the time it was due, not from now, so that the rate holds; never trying to catch up a long outage.
        self._due = max(self._due + INTERVAL_S, time.monotonic())
        return self._due - time.monotonic()

    def _batch(self, size: int) -> list[Sample]:
        now = time.time()
        return [
            Sample(
                round(now * 1000),
                math.sin(now / 7 + i / size),
                math.cos(now / 11 + i / size),
                self._name,
                self._produced + i,
            )
            for i in range(size)
        ]
