"""Keeps up with everything the page shows: asks all services twice a second and tells what is new.

Whoever wants to know reads what was collected; nobody waits for a service. One that hangs holds a thread and is shown
as late.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
from msgspec.structs import replace

from inaetics.demonstrator.api import (
    ACCOUNTING,
    BURST,
    CLUSTER_INFO,
    COORDINATOR,
    PERIODIC,
    Accounting,
    AccountingReport,
    AgentReport,
    AgentStatistics,
    Cluster,
    ClusterInfo,
    Coordinator,
    Scaling,
)
from inaetics.demonstrator.calls import Worker

from .asking import Asker
from .frames import Board, Utilisation, named
from .history import History
from .knobs import COST, MODE, UTILISATION, Knobs, Value

INTERVAL_S = 0.5
ANSWERS_WITHIN_S = 0.15
"""How long a tick waits for answers: what comes in time is shown at once, the rest at the next one."""

CALLS_AT_ONCE = 64

AGAIN_S = 2.0
"""How often agents are told again what they could not be told."""

SILENT_AFTER_S = 3.0
"""A service that takes longer hangs: what it said before is no more the truth."""


@dataclass(slots=True)
class Services:
    """Those of which there is at most one; None while it is not here."""

    accounting: Accounting | None = None
    coordinator: Coordinator | None = None
    cluster_info: ClusterInfo | None = None


class Watch:
    """Safe from any thread. `publish` is given what open pages are to be told, under our lock: it must not block."""

    def __init__(self, services: Callable[[], Services], knobs: Knobs, publish: Callable[[bytes], None]) -> None:
        self._services = services
        self._knobs = knobs
        self._publish = publish
        self._lock = threading.Lock()
        self._began_s, self._began_ms = time.monotonic(), time.time() * 1000
        self._board = Board(History(), interval_ms=round(INTERVAL_S * 1000), now_ms=self._now_ms())
        self._agents: dict[int, tuple[str, AgentStatistics, float]] = {}
        """Name, service, and since when it is here."""
        self._again_s = 0.0
        self._asker = Asker("viewer-report", CALLS_AT_ONCE)
        self._worker = Worker("viewer", self._step)

    def start(self) -> None:
        self._worker.start()

    def stop(self) -> None:
        self._worker.stop()
        self._asker.stop()

    def came(self, name: str, service: AgentStatistics) -> None:
        """There is an agent to ask."""
        with self._lock:
            self._agents[id(service)] = (name, service, time.monotonic())

    def went(self, service: AgentStatistics) -> None:
        with self._lock:
            self._agents.pop(id(service), None)
        self._asker.forget(id(service))

    def join(self, take: Callable[[bytes], None]) -> None:
        """Give `take` what somebody has to know who is told everything published from then on."""
        with self._lock:
            take(self._board.hello(now_s=time.monotonic()))

    def statistics(self, since_ms: int = 0) -> dict[str, Any]:
        with self._lock:
            agents = self._board.history.statistics(since_ms=since_ms, now_s=time.monotonic())
        return {"time_ms": self._now_ms(), "agents": agents}

    def system(self) -> dict[str, Any]:
        with self._lock:
            return {"time_ms": self._now_ms(), **self._board.system(now_s=time.monotonic())}

    def cluster_info(self) -> dict[str, Any]:
        with self._lock:
            agents = self._board.history.agents(now_s=time.monotonic())
            cluster, scaling = self._board.cluster, self._board.scaling
        return {"time_ms": self._now_ms(), "agents": agents, "cluster": named(cluster), "scaling": named(scaling)}

    def cluster(self) -> Cluster | None:
        return self._board.cluster

    def scaling(self) -> Scaling | None:
        return self._board.scaling

    def scaled(self, scaling: Scaling) -> None:
        """Somebody just changed it: do not wait until the coordinator is asked again."""
        with self._lock:
            self._board.scaling = scaling

    def utilisation(self) -> dict[str, Any]:
        with self._lock:
            found: dict[str, Any] = named(self._set())
        return found

    def _set(self) -> Utilisation:
        gauges = partial(self._board.history.gauges, now_s=time.monotonic())
        modes = [BURST if bursts else PERIODIC for bursts in gauges("in bursts")]
        asked: dict[str, tuple[str, Sequence[Value]]] = {
            "percent": (UTILISATION, gauges("utilisation")),
            "cost_us": (COST, gauges("cost")),
            "mode": (MODE, modes),
        }
        found = {name: self._knobs.believed(method, reported) for name, (method, reported) in asked.items()}
        differ = [name for name, (_, reported) in asked.items() if reported and found[name] is None]
        return msgspec.convert({**found, "differ": differ}, Utilisation)

    def _now_ms(self) -> int:
        """Unix milliseconds that never go back, whatever happens to the clock."""
        return round(self._began_ms + (time.monotonic() - self._began_s) * 1000)

    def _step(self) -> float:
        began = time.monotonic()
        self._ask_all()
        self._asker.settle(ANSWERS_WITHIN_S)
        with self._lock:
            now_s, now_ms = time.monotonic(), self._now_ms()
            waited_for = {name: since for name, _, since in self._agents.values() if now_s - since > SILENT_AFTER_S}
            for name, since in waited_for.items():
                self._board.history.expect(name, since_s=since, now_ms=now_ms)
            self._board.history.forget_silent(now_s=now_s, expected=waited_for)
            self._board.utilisation = self._set()
            self._doubt()
            for frame in self._board.tick(now_s=now_s, now_ms=now_ms):
                self._publish(frame)
        if now_s >= self._again_s:
            self._again_s = now_s + AGAIN_S
            self._knobs.again()
        return max(INTERVAL_S - (time.monotonic() - began), 0.05)

    def _ask_all(self) -> None:
        with self._lock:
            agents = [(key, service) for key, (_, service, _) in self._agents.items()]
        for key, service in agents:
            self._asker.ask(key, partial(self._ask, service))
        services = self._services()
        self._asker.ask(ACCOUNTING, partial(self._ask_accounting, services.accounting))
        self._asker.ask(COORDINATOR, partial(self._ask_coordinator, services.coordinator))
        self._asker.ask(CLUSTER_INFO, partial(self._ask_cluster, services.cluster_info))

    def _doubt(self) -> None:
        """Say so where a service hangs."""
        board = self._board
        if self._hangs(COORDINATOR):
            board.scaling = None
        if self._hangs(CLUSTER_INFO) and board.cluster is not None:
            board.cluster = replace(board.cluster, stale="the view of the cluster does not answer")
        if self._hangs(ACCOUNTING) and board.accounting is not None:
            board.accounting = replace(board.accounting, note="this is old: the accounting does not answer")

    def _hangs(self, key: str) -> bool:
        return self._asker.waits_s(key) > SILENT_AFTER_S

    def _ask(self, service: AgentStatistics) -> None:
        report = msgspec.convert(service.report(), AgentReport)
        with self._lock:
            self._board.history.heard(report, now_s=time.monotonic(), now_ms=self._now_ms())

    def _ask_accounting(self, service: Accounting | None) -> None:
        report = msgspec.convert(service.latest(), AccountingReport | None) if service is not None else None
        with self._lock:
            self._board.accounting = report

    def _ask_coordinator(self, service: Coordinator | None) -> None:
        scaling = msgspec.convert(service.scaling(), Scaling) if service is not None else None
        with self._lock:
            self._board.scaling = scaling

    def _ask_cluster(self, service: ClusterInfo | None) -> None:
        cluster = msgspec.convert(service.cluster(), Cluster | None) if service is not None else None
        with self._lock:
            self._board.cluster = cluster
