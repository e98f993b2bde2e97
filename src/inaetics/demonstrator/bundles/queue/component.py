"""The queue as a remote service."""

from __future__ import annotations

import secrets
import threading
import time
import uuid
from collections.abc import Sequence

from pelix.constants import BundleActivator
from pelix.framework import BundleContext
from pelix.ipopo.decorators import ComponentFactory, Instantiate, Property, Provides, Validate

from inaetics.demonstrator.api import (
    SAMPLE_QUEUE,
    STATS_PROVIDER,
    BlockDelivery,
    Cut,
    Delivery,
    Sample,
    SampleBlock,
    Stat,
)
from inaetics.demonstrator.blocks import converted, of_samples, read_sample_block, samples_of
from inaetics.demonstrator.given import Checks, given
from inaetics.node import api
from inaetics.override import override

from .buffer import SampleBuffer

CAPACITY = 20_000
"""Samples held, lent ones included; the framework property `inaetics.queue.capacity` says otherwise."""

MOST_CAPACITY = 10_000_000
"""A quarter of a gigabyte."""

REDELIVER_AFTER_S = 5.0
"""A processor that died is known by then; a live one needs milliseconds."""

LONGEST_WAIT_S = 2.0
"""Well below the time after which a remote call is given up."""


def _capacity(context: BundleContext) -> int:
    return given(context, "inaetics.queue.", "capacity").whole(
        "capacity", CAPACITY, least=1, most=MOST_CAPACITY, unit="samples"
    )


@BundleActivator
class Activator(Checks):
    """Looks at the unit's properties."""

    @override
    def check(self, context: BundleContext) -> None:
        _capacity(context)


@ComponentFactory(__name__ + ".queue")
@Provides([SAMPLE_QUEUE, STATS_PROVIDER])
@Property("_exported", api.EXPORTED_INTERFACES, [SAMPLE_QUEUE])
@Instantiate(__name__ + ".queue")
class Queue:
    """A `SampleQueue`; one lock, held for microseconds."""

    def __init__(self) -> None:
        self._buffer = SampleBuffer(
            capacity=CAPACITY, redeliver_after_s=REDELIVER_AFTER_S, first_delivery=1 + secrets.randbits(62)
        )
        self._changed = threading.Condition()
        self._life = uuid.uuid4().hex

    @Validate
    def validate(self, context: BundleContext) -> None:
        self._buffer.capacity = _capacity(context)

    def put(self, sample: Sample) -> bool:
        return self.put_all([sample]) == 1

    def put_all(self, samples: Sequence[Sample]) -> int:
        blocks = [read_sample_block(block) for block in of_samples(converted(samples, list[Sample]))]
        with self._changed:
            accepted = self._buffer.offer(blocks)
            self._changed.notify_all()
        return accepted

    def put_block(self, block: SampleBlock, again: bool = False) -> int:
        checked = read_sample_block(block)
        with self._changed:
            accepted = self._buffer.put(checked, again=again)
            self._changed.notify_all()
        return accepted

    def take(self) -> Delivery:
        return self.take_min_max(1, 1)

    def take_min_max(self, minimum: int, maximum: int) -> Delivery:
        delivery = self.take_blocks(minimum, maximum)
        return Delivery(delivery.id, [sample for block in delivery.blocks for sample in samples_of(block)])

    def take_blocks(self, minimum: int, maximum: int, acknowledged: int = 0) -> BlockDelivery:
        end = time.monotonic() + LONGEST_WAIT_S
        with self._changed:
            if acknowledged:
                self._buffer.acknowledge(acknowledged)
            while True:
                now = time.monotonic()
                delivery = self._buffer.lend(minimum, maximum, now=now)
                if delivery.id or now >= end:
                    return delivery
                self._changed.wait(end - now)

    def acknowledge(self, delivery_id: int) -> bool:
        with self._changed:
            return self._buffer.acknowledge(delivery_id)

    def cut(self) -> Cut:
        with self._changed:
            return self._buffer.cut(queue=self._life, at_ms=round(time.time() * 1000))

    def forget(self, lives: Sequence[tuple[str, int]]) -> int:
        checked = converted(lives, list[tuple[str, int]])
        with self._changed:
            return self._buffer.forget(checked)

    def stats(self) -> list[Stat]:
        with self._changed:
            buffer = self._buffer
            return [
                Stat("queued", "gauge", "samples", buffer.queued),
                Stat("in flight", "gauge", "samples", buffer.in_flight),
                Stat("lent", "gauge", "batches", buffer.lent),
                Stat("capacity", "gauge", "samples", buffer.capacity),
                Stat("fill", "gauge", "%", round(buffer.fill * 100, 1)),
                Stat("accepted", "counter", "samples", buffer.accepted),
                Stat("refused by queue", "counter", "samples", buffer.refused),
                Stat("acknowledged", "counter", "samples", buffer.acknowledged),
                Stat("redelivered", "counter", "samples", buffer.redelivered),
            ]
