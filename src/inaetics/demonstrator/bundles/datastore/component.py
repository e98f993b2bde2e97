"""The datastore as a remote service."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pelix.constants import BundleActivator
from pelix.framework import BundleContext
from pelix.ipopo.decorators import (
    BindField,
    ComponentFactory,
    Instantiate,
    Invalidate,
    Property,
    Provides,
    Requires,
    UnbindField,
    Validate,
)

from inaetics.demonstrator.api import (
    DATA_STORE,
    PRODUCER,
    STATS_PROVIDER,
    Cut,
    Producer,
    Result,
    ResultBlock,
    Stat,
)
from inaetics.demonstrator.blocks import converted, ends, of_results, read_result_blocks
from inaetics.demonstrator.calls import CALL_FAILED, Worker
from inaetics.demonstrator.given import Checks, given
from inaetics.node import api
from inaetics.override import override

from .clocks import Clocks
from .database import Database
from .latency import Latency
from .storage import Storage

KEEP_BYTES = 128 * 1024 * 1024
"""On disk: about three million samples. The framework property `inaetics.datastore.bytes` says otherwise."""

LEAST_BYTES, MOST_BYTES = 1_000_000, 10**15

MOST_FOUND = 10_000
"""Results in one answer."""

CLOCKS_EVERY_S = 5.0
"""How often producers are asked for their clocks."""
NEW_CLOCKS_EVERY_S = 0.25
"""While there is one that has not said."""


def _keep_bytes(context: BundleContext) -> int:
    return given(context, "inaetics.datastore.", "bytes").whole(
        "bytes", KEEP_BYTES, least=LEAST_BYTES, most=MOST_BYTES, unit="bytes"
    )


@BundleActivator
class Activator(Checks):
    """Looks at the unit's properties."""

    @override
    def check(self, context: BundleContext) -> None:
        _keep_bytes(context)


@ComponentFactory(__name__ + ".datastore")
@Requires("_producers", PRODUCER, aggregate=True, optional=True)
@Provides([DATA_STORE, STATS_PROVIDER])
@Property("_exported", api.EXPORTED_INTERFACES, [DATA_STORE])
@Instantiate(__name__ + ".datastore")
class Store:
    """A `DataStore` in the agent's data folder; it stays on its host when the agent moves."""

    _storage: Storage
    _producers: list[Producer] | None

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._agent = ""
        self._by_agent: dict[str, Producer] = {}
        self._clocks = Clocks()
        self._latency = Latency()
        self._stored = 0
        self._repeated = 0

    @Validate
    def validate(self, context: BundleContext) -> None:
        folder = Path(str(context.get_property(api.DATA)))
        keep = _keep_bytes(context)
        self._agent = str(context.get_property(api.AGENT))
        self._storage = Database(folder / "samples.sqlite", keep_bytes=keep)
        self._worker = Worker("clocks", self._ask_clocks)
        self._worker.start()

    @Invalidate
    def invalidate(self, _context: BundleContext) -> None:
        self._worker.stop()
        self._storage.close()

    @BindField("_producers")
    def bind_producer(self, _field: str, service: Producer, reference: Any) -> None:
        with self._lock:
            self._by_agent[str(reference.get_property(api.REMOTE_AGENT) or self._agent)] = service

    @UnbindField("_producers")
    def unbind_producer(self, _field: str, service: Producer, _reference: Any) -> None:
        with self._lock:
            for agent in [agent for agent, known in self._by_agent.items() if known is service]:
                del self._by_agent[agent]
                self._clocks.forget(agent)

    def store(self, result: Result) -> int:
        return self.store_all([result])

    def store_all(self, results: Sequence[Result]) -> int:
        return self.store_blocks(of_results(converted(results, list[Result])))

    def store_blocks(self, blocks: Sequence[ResultBlock]) -> int:
        checked = read_result_blocks(blocks)
        new = self._storage.store(checked)
        now_s, now_ms = time.monotonic(), time.time() * 1000
        with self._lock:
            for block in checked:
                ahead_ms = self._clocks.ahead_ms(block.samples.producer.partition("/")[0])
                if ahead_ms is not None:
                    oldest, youngest = ends(block.samples.time_ms)
                    self._latency.add(now_s, now_ms + ahead_ms - oldest, now_ms + ahead_ms - youngest)
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
            Stat("clocks apart", "gauge", "ms", self._apart_ms()),
        ]

    def _apart_ms(self) -> float:
        with self._lock:
            return round(self._clocks.apart_ms(), 1)

    def _ask_clocks(self) -> float:
        with self._lock:
            producers = dict(self._by_agent)
        for agent, producer in producers.items():
            asked_s, asked_ms = time.monotonic(), time.time() * 1000
            try:
                theirs_ms = float(producer.clock_ms())
            except CALL_FAILED:
                continue  # discovery takes it away when it is gone
            took_ms = (time.monotonic() - asked_s) * 1000
            with self._lock:
                if agent in self._by_agent:
                    self._clocks.heard(agent, theirs_ms, asked_ms=asked_ms, took_ms=took_ms)
        with self._lock:
            known = all(self._clocks.ahead_ms(agent) is not None for agent in self._by_agent)
        return CLOCKS_EVERY_S if known else NEW_CLOCKS_EVERY_S
