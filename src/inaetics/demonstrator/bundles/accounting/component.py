"""The accounting as a service: one snapshot a second."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any

import msgspec
import structlog
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
    ACCOUNTING,
    DATA_STORE,
    PRODUCER,
    SAMPLE_QUEUE,
    STATS_PROVIDER,
    AccountingReport,
    Cut,
    DataStore,
    Ledger,
    Producer,
    SampleQueue,
    Stat,
)
from inaetics.demonstrator.calls import CALL_FAILED, Worker
from inaetics.node import api

from .books import Books

log = structlog.get_logger()

INTERVAL_S = 1.0

UNDER_WAY_S = 0.03
"""A producer that was not answered yet is asked once more after this time."""

OLD = "these are the last figures: the queue or the datastore does not answer just now"


@ComponentFactory(__name__ + ".accounting")
@Requires("_queue", SAMPLE_QUEUE, optional=True)
@Requires("_store", DATA_STORE, optional=True)
@Requires("_producers", PRODUCER, aggregate=True, optional=True)
@Provides([ACCOUNTING, STATS_PROVIDER])
@Property("_exported", api.EXPORTED_INTERFACES, [ACCOUNTING])
@Instantiate(__name__ + ".accounting")
class Accounting:
    """Goes on through the death of a queue; after its own it begins anew."""

    _queue: SampleQueue | None
    _store: DataStore | None
    _producers: list[Producer] | None

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._books = Books()
        self._by_agent: dict[str, Producer] = {}
        self._latest: AccountingReport | None = None
        self._agent = ""
        self._worker = Worker("accounting", self._step)

    @Validate
    def validate(self, context: BundleContext) -> None:
        self._agent = str(context.get_property(api.AGENT))
        self._worker = Worker("accounting", self._step)
        self._worker.start()

    @Invalidate
    def invalidate(self, _context: BundleContext) -> None:
        self._worker.stop()

    @BindField("_producers")
    def bind_producer(self, _field: str, service: Producer, reference: Any) -> None:
        with self._lock:
            self._by_agent[str(reference.get_property(api.REMOTE_AGENT) or self._agent)] = service

    @UnbindField("_producers")
    def unbind_producer(self, _field: str, service: Producer, _reference: Any) -> None:
        with self._lock:
            self._by_agent = {agent: known for agent, known in self._by_agent.items() if known is not service}

    def latest(self) -> AccountingReport | None:
        return self._latest

    def stats(self) -> list[Stat]:
        latest = self._latest
        if latest is None:
            return []
        return [
            Stat("accounting holds", "gauge", "", float(latest.holds)),
            Stat("lost with queue", "gauge", "samples", latest.lost_with_queue),
        ]

    def _step(self) -> float:
        queue, store = self._queue, self._store
        began = time.monotonic()
        if queue is None or store is None:
            self._latest = _old(self._latest)
            return INTERVAL_S
        try:
            theirs = msgspec.convert(queue.cut(), Cut)
            cut = msgspec.structs.replace(theirs, at_ms=round(time.time() * 1000))  # one clock, whichever host has it
            report = self._books.snapshot(cut, store.count, self._ask, now_s=time.monotonic())
        except CALL_FAILED:
            self._latest = _old(self._latest)
            raise
        if not report.holds and (self._latest is None or self._latest.holds):
            log.error("samples do not add up", **msgspec.structs.asdict(report))
        self._latest = report
        self._put_away(queue)
        return max(INTERVAL_S - (time.monotonic() - began), 0.1)

    def _put_away(self, queue: SampleQueue) -> None:
        """Let the queue forget what is added up; when it does not hear of it now, it does the next time."""
        if self._books.over:
            with contextlib.suppress(*CALL_FAILED):
                queue.forget(self._books.over)

    def _ask(self, producer: str, frontier: int) -> Ledger | None:
        with self._lock:
            service = self._by_agent.get(producer.partition("/")[0])
        if service is None:
            return None
        try:
            for pause in (UNDER_WAY_S, 0):
                answer = service.at(producer, frontier)
                if answer is not None:
                    return msgspec.convert(answer, Ledger)
                time.sleep(pause)
        except CALL_FAILED:
            pass  # it died: what the queue was offered is known from the queue
        return None


def _old(report: AccountingReport | None) -> AccountingReport | None:
    """The report with a note that there is no newer one."""
    if report is None or report.note.endswith(OLD):
        return report
    return msgspec.structs.replace(report, note="; ".join(filter(None, (report.note, OLD))))
