"""Runs the autoscaler: one thread asks the queue's agent, another decides and tells a control host.

Two, so that an agent that hangs is seen as late figures and nothing waits for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import msgspec
import structlog

from inaetics.demonstrator.api import AgentReport, AgentStatistics
from inaetics.demonstrator.calls import CALL_FAILED, Worker
from inaetics.errors import InaeticsError, Unavailable

from . import scaling
from .autoscaler import Agents, Autoscaler, Verdict
from .fleet_api import FleetApi
from .scaling import PROCESSORS, ScaledSaid, ScaleSaid, Wish

log = structlog.get_logger()

EVERY_S = 0.5
"""Between two looks at the queue: one small call to one agent."""


class Deciding:
    """From `start` to `stop`. `queue` gives the statistics of the queue's agent, None while there is none."""

    def __init__(
        self,
        api: FleetApi,
        *,
        queue: Callable[[], AgentStatistics | None],
        said: Callable[[], ScaleSaid | None],
        scaled: Callable[[ScaleSaid], None],
        stale: Callable[[], str],
    ) -> None:
        self._api = api
        self._queue, self._said, self._scaled, self._stale = queue, said, scaled, stale
        self._lock = threading.Lock()
        self._autoscaler = Autoscaler()
        self._trouble = ""
        self.marks = self._autoscaler.marks
        self.explanation = "looking at the queue"
        self._workers = (Worker("coordinator-queue", self._ask), Worker("coordinator-decides", self._decide))

    def start(self) -> None:
        for worker in self._workers:
            worker.start()

    def stop(self) -> None:
        self._api.abort()
        for worker in self._workers:
            worker.stop()
        self._api.close()

    def _ask(self) -> float:
        queue = self._queue()
        if queue is None:
            self._lost("there is no queue")
            return EVERY_S
        try:
            found = scaling.reading(msgspec.convert(queue.report(), AgentReport), time.monotonic())
        except Unavailable as error:
            self._lost(str(error))
        except CALL_FAILED as error:  # its figures grow old, and that is told
            log.debug("queue's agent does not answer", reason=str(error))
        else:
            with self._lock:
                self._trouble = ""
                self._autoscaler.heard(found)
        return EVERY_S

    def _lost(self, why: str) -> None:
        with self._lock:
            self._trouble = why

    def _decide(self) -> float:
        said = self._said()
        agents = scaling.agents(said) if said is not None else None
        if stale := self._stale():
            self.explanation = f"{stale}: nothing is changed"
        elif said is None or agents is None:
            self.explanation = "no set of processors is declared (inaetics scale): nothing is changed"
        else:
            self._act(self._verdict(agents, automatic=said.automatic), agents)
        return EVERY_S

    def _verdict(self, agents: Agents, *, automatic: bool) -> Verdict:
        with self._lock:
            if self._trouble:
                return self._autoscaler.lost_sight(self._trouble)
            if not automatic:
                return Verdict(count=None, words=f"{self._autoscaler.look(time.monotonic())}; automatic scaling is off")
            return self._autoscaler.decide(time.monotonic(), agents)

    def _act(self, verdict: Verdict, agents: Agents) -> None:
        if verdict.count is None:
            self.explanation = verdict.words
            return
        wish = Wish(count=verdict.count, reason=verdict.words)
        try:
            made = self._api.send("PUT", f"/inaetics/v1/scale/sets/{PROCESSORS}", wish, ScaledSaid)
        except InaeticsError as error:
            self.explanation = f"{verdict.words}, but that could not be done: {error}"
            log.warning("could not scale", kind=PROCESSORS, count=verdict.count, reason=str(error))
            return
        self.explanation = verdict.words
        log.info("scaled", kind=PROCESSORS, before=agents.wanted, after=verdict.count, reason=verdict.words)
        self._scaled(made.report)
