"""The datastore as a remote service."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

from pelix.framework import BundleContext
from pelix.ipopo.decorators import (
    ComponentFactory,
    Instantiate,
    Invalidate,
    Property,
    Provides,
    Validate,
)

from inaetics.demonstrator.api import DATA_STORE, STATS_PROVIDER, Cut, Result, ResultBlock, Stat
from inaetics.demonstrator.blocks import converted, of_results, read_result_blocks, unpacked

from .database import Database
from .latency import Latency
from .storage import Storage

KEEP_BYTES = 128 * 1024 * 1024
"""On disk: about three million samples. The framework property `inaetics.datastore.bytes` says otherwise."""

MOST_FOUND = 10_000
"""Results in one answer."""


@ComponentFactory(__name__ + ".datastore")
@Provides([DATA_STORE, STATS_PROVIDER])
@Property("_exported", "service.exported.interfaces", [DATA_STORE])
@Instantiate(__name__ + ".datastore")
class Store:
    """A `DataStore` in the agent's data folder; it stays on its host when the agent moves."""

    _storage: Storage

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latency = Latency()
        self._stored = 0
        self._repeated = 0

    @Validate
    def validate(self, context: BundleContext) -> None:
        folder = Path(str(context.get_property("inaetics.data")))
        keep = int(context.get_property("inaetics.datastore.bytes") or KEEP_BYTES)
        self._storage = Database(folder / "samples.sqlite", keep_bytes=keep)

    @Invalidate
    def invalidate(self, _context: BundleContext) -> None:
        self._storage.close()

    def store(self, result: Result) -> int:
        return self.store_all([result])

    def store_all(self, results: Sequence[Result]) -> int:
        return self.store_blocks(of_results(converted(results, list[Result])))

    def store_blocks(self, blocks: Sequence[ResultBlock]) -> int:
        checked = read_result_blocks(blocks)
        new = self._storage.store(checked)
        now_ms = round(time.time() * 1000)
        for block in checked:
            times = unpacked("q", block.samples.time_ms)
            self._latency.add(time.monotonic(), now_ms - times[0], now_ms - times[-1])
        with self._lock:
            self._stored += new
            self._repeated += sum(block.samples.count for block in checked) - new
        return new

    def find_between(self, begin_ms: int, end_ms: int) -> list[Result]:
        return self._storage.find_between(begin_ms, end_ms, limit=MOST_FOUND)

    def count(self, cut: Cut) -> int:
        return self._storage.count(converted(cut, Cut))

    def stats(self) -> list[Stat]:
        now_s = time.monotonic()
        return [
            Stat("stored", "counter", "samples", self._stored),
            Stat("repeated", "counter", "samples", self._repeated),
            Stat("rows", "gauge", "samples", self._storage.held()),
            Stat("let go", "gauge", "samples", self._storage.let_go()),
            Stat("store size", "gauge", "MB", round(self._storage.size() / 1e6, 2)),
            Stat("latency p50", "gauge", "ms", self._latency.percentile(50, now_s)),
            Stat("latency p99", "gauge", "ms", self._latency.percentile(99, now_s)),
        ]
