"""A producer: so many samples a second, in blocks; what the queue does not take is counted as refused.

A block whose call was not answered is offered again until the queue says what became of it, so that each is accepted
once; the log on disk (`sequence_log`) and the counts (`lives`) say the same.
"""

from __future__ import annotations

import threading
import time
import uuid
from pathlib import Path

from pelix.constants import BundleActivator
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
    BURST,
    PIPELINE_CONTROL,
    PRODUCER,
    SAMPLE_QUEUE,
    STATS_PROVIDER,
    Ledger,
    SampleBlock,
    SampleQueue,
    Stat,
    Word,
)
from inaetics.demonstrator.blocks import waves
from inaetics.demonstrator.calls import CALL_FAILED, Worker
from inaetics.demonstrator.given import Checks, given
from inaetics.demonstrator.settings import within
from inaetics.demonstrator.told import Told
from inaetics.node import api
from inaetics.override import override

from .lives import Lives
from .pace import KNOWN, MAXIMUM, PREFIX, RATE, Pace, beginning
from .sequence_log import SequenceLog

MOST_COST_US = 1_000_000


@BundleActivator
class Activator(Checks):
    """Looks at the unit's properties."""

    @override
    def check(self, context: BundleContext) -> None:
        beginning(given(context, PREFIX, *KNOWN))


@ComponentFactory(__name__ + ".producer")
@Requires("_queue", SAMPLE_QUEUE)
@Provides([PRODUCER, PIPELINE_CONTROL, STATS_PROVIDER])
@Property("_exported", api.EXPORTED_INTERFACES, [PRODUCER, PIPELINE_CONTROL])
@Instantiate(__name__ + ".producer")
class Producer:
    """Makes samples of two slow waves while there is a queue to put them into."""

    _queue: SampleQueue

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lives = Lives()
        self._told = Told()
        self._pace: Pace | None = None
        self._log: SequenceLog | None = None
        self._pending: SampleBlock | None = None
        self._again = False
        self._since_ms = 0.0
        self._worker = Worker("producer", self._step)

    @Validate
    def validate(self, context: BundleContext) -> None:
        """Start producing. Each life is a producer of its own, so that its sequence numbers may begin again."""
        name = f"{context.get_property(api.AGENT)}/{uuid.uuid4().hex[:8]}"
        log = SequenceLog(Path(str(context.get_property(api.DATA))) / "sequences", name)
        with self._lock:
            self._lives.begin(name)
            self._log, self._pending, self._again = log, None, False
            self._pace = self._first_pace(context)
        self._since_ms = time.time() * 1000
        self._worker = Worker("producer", self._step)
        self._worker.start()

    @Invalidate
    def invalidate(self, _context: BundleContext) -> None:
        self._worker.stop()
        with self._lock:
            if self._log is not None:
                self._log.close()
            self._log = None

    def rate(self) -> float:
        with self._lock:
            return self._pacing().rate

    def maximum(self) -> float:
        with self._lock:
            return self._pacing().maximum

    def set_rate(self, rate: float) -> None:
        with self._lock:
            pace = self._pacing()
            pace.set_rate(rate)
            self._told.note("set_utilisation", pace.rate / pace.maximum * 100)

    def set_mode(self, mode: str) -> None:
        with self._lock:
            self._pacing().set_mode(mode)
        self._told.note("set_mode", mode)

    def set_utilisation(self, percent: float) -> None:
        share = within(percent, 100, "a utilisation", "%") / 100
        with self._lock:
            pace = self._pacing()
            pace.set_rate(pace.maximum * share)
        self._told.note("set_utilisation", percent)

    def set_cost(self, us: float) -> None:
        """Producers compute nothing."""
        self._told.note("set_cost", within(us, MOST_COST_US, "a cost", "µs"))

    def told(self) -> list[Word]:
        return self._told.words()

    def clock_ms(self) -> float:
        return time.time() * 1000

    def at(self, producer: str, frontier: int) -> Ledger | None:
        with self._lock:
            return self._lives.at(producer, frontier)

    def stats(self) -> list[Stat]:
        with self._lock:
            pace = self._pacing()
            return [
                Stat("produced", "counter", "samples", self._lives.produced),
                Stat("refused", "counter", "samples", self._lives.refused),
                Stat("undecided", "gauge", "samples", self._lives.undecided),
                Stat("rate set", "gauge", "samples/s", pace.rate),
                Stat("utilisation", "gauge", "%", round(pace.rate / pace.maximum * 100, 1)),
                Stat("in bursts", "gauge", "", float(pace.mode == BURST)),
                Stat("effort", "gauge", "%", round(pace.effort * 100, 1)),
            ]

    def _first_pace(self, context: BundleContext) -> Pace:
        now = time.monotonic()
        if self._pace is not None:  # what was set stays through an outage of the queue
            return Pace(rate=self._pace.rate, maximum=self._pace.maximum, mode=self._pace.mode, now=now)
        begin = beginning(given(context, PREFIX, *KNOWN))
        return Pace(rate=begin.rate, maximum=begin.maximum, mode=begin.mode, now=now)

    def _pacing(self) -> Pace:
        if self._pace is None:
            self._pace = Pace(rate=min(RATE, MAXIMUM), maximum=MAXIMUM, now=time.monotonic())
        return self._pace

    def _step(self) -> float:
        block = self._pending or self._next()
        if block is not None:
            try:
                accepted = self._queue.put_block(block, self._again)
            except CALL_FAILED:
                with self._lock:
                    self._again = self._pending is block
                raise
            self._settle(block, accepted)
        with self._lock:
            return self._pacing().pause(time.monotonic())

    def _next(self) -> SampleBlock | None:
        """The next block, if one is due: counted and logged as offered."""
        with self._lock:
            count = self._pacing().due(time.monotonic())
            now_ms = time.time() * 1000
            if not count or self._log is None:
                return None
            first = self._lives.next
            self._lives.offered(count)
            self._log.offer(first, count)
            name = self._lives.name
        burst = self._pacing().mode == BURST
        since_ms = min(max(self._since_ms, now_ms - 1000), now_ms)  # the clock may have been set back
        start, self._since_ms = now_ms if burst else since_ms, now_ms
        self._pending = waves(name, first, count, start_ms=start, step_ms=(now_ms - start) / count)
        return self._pending

    def _settle(self, block: SampleBlock, accepted: int) -> None:
        """Note what became of a block; below 0 nobody will ever say."""
        with self._lock:
            if self._pending is not block:
                return  # a call of an earlier life that took longer than the life
            self._pending, self._again = None, False
            if self._log is not None:
                self._log.answer(block.first, block.count, accepted)
            if accepted >= 0:
                self._lives.answered(block.count, block.count - accepted)
                self._pacing().answered(block.count, accepted)
