"""What an open page is sent, pure: server-sent events made from what the viewer remembers.

`hello` says everything; `points` only what is new, in the order that the last `hello` named. A tick belongs to one
`_at_ms`: a reading is in the `hello`s made until then or in the `points` after, never in both and never in none, so a
page may come at any moment.
"""

from __future__ import annotations

from typing import Any

import msgspec

from inaetics.demonstrator.api import AccountingReport, Cluster, Scaling

from .history import Agent, History

RETRY_MS = 1000
"""After which a browser comes back."""

BEAT = b": beat\n\n"

Signature = dict[str, tuple[Any, ...]]
"""Of each agent what a page must know before it can read its points."""


class Utilisation(msgspec.Struct, frozen=True, kw_only=True):
    """What producers and processors are set to; null while they differ, or nobody knows."""

    percent: float | None = None
    cost_us: float | None = None
    mode: str | None = None
    differ: tuple[str, ...] = ()
    """Which of them agents are set to differently."""


def frame(event: str, data: object) -> bytes:
    """One event. JSON has no line ends of its own, so one data line holds it."""
    return b"event: %b\ndata: %b\n\n" % (event.encode(), msgspec.json.encode(data))


def named(value: object) -> Any:
    """A value of the services' as JSON for people: objects with names instead of arrays."""
    if isinstance(value, msgspec.Struct):
        return {name: named(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, list | tuple):
        return [named(each) for each in value]
    return value


class Board:
    """What pages see now. Not safe from several threads: its user has a lock."""

    def __init__(self, history: History, *, interval_ms: int, now_ms: int) -> None:
        self.history = history
        self.accounting: AccountingReport | None = None
        self.scaling: Scaling | None = None
        self.cluster: Cluster | None = None
        self.utilisation = Utilisation()
        self._interval_ms = interval_ms
        self._at_ms = now_ms
        self._signature: Signature = {}
        self._said: dict[str, object] = {"utilisation": self.utilisation}
        self._hello: bytes | None = None

    def tick(self, *, now_s: float, now_ms: int) -> list[bytes]:
        """What those who are connected are sent now. `now_ms` never goes back."""
        self._hello = None
        frames = self._changes()
        signature = {name: _signature(agent) for name, agent in self.history.known()}
        new = {name for name, known in signature.items() if self._signature.get(name) != known}
        if new or signature.keys() != self._signature.keys():
            before, self._signature = self._signature, signature
            frames.append(frame("hello", self._everything(now_s, told=before)))
        values = {name: self._values(agent) for name, agent in self.history.known()}
        self._at_ms = now_ms
        late = self.history.late(now_s=now_s)
        points = {"time_ms": now_ms, "agents": values, "late": late, "system": self.system(now_s=now_s)}
        return [*frames, frame("points", points)]

    def hello(self, *, now_s: float) -> bytes:
        """What somebody is sent who connects now; made once for all who come between two ticks."""
        if self._hello is None:
            self._hello = b"retry: %d\n" % RETRY_MS + frame("hello", self._everything(now_s, told={}))
        return self._hello

    def system(self, *, now_s: float) -> dict[str, Any]:
        """The pipeline as a whole."""
        totals = self.history.totals(now_s=now_s)
        fill, capacity = (self.history.gauges(name, now_s=now_s) for name in ("fill", "capacity"))
        return {
            **totals,
            "queue_percent": max(fill, default=None),
            "queue_capacity": sum(capacity) if capacity else None,
            "latency_ms": self._latency(totals, now_s),
            "accounting": named(self.accounting),
        }

    def _latency(self, totals: dict[str, Any], now_s: float) -> dict[str, float] | None:
        """None when nothing is stored, or no clock was compared yet."""
        found = {
            p: round(max(self.history.gauges(f"latency {p}", now_s=now_s), default=0.0), 1) for p in ("p50", "p99")
        }
        return found if totals["rates"]["stored"] > 0 and 0 <= found["p50"] <= found["p99"] > 0 else None

    def _changes(self) -> list[bytes]:
        """An event for each thing that is not what was last said of it."""
        frames = []
        for event, value in (("scaling", self.scaling), ("cluster", self.cluster), ("utilisation", self.utilisation)):
            # When somebody looked at a cluster in which nothing happened is no news.
            news = msgspec.structs.replace(value, at_ms=0) if isinstance(value, Cluster) else value
            if news != self._said.get(event):
                frames.append(frame(event, named(value)))
            self._said[event] = news
        return frames

    def _everything(self, now_s: float, *, told: Signature) -> dict[str, Any]:
        late = set(self.history.late(now_s=now_s))
        known = [(name, agent) for name, agent in self.history.known() if name in self._signature]
        return {
            "time_ms": self._at_ms,
            "interval_ms": self._interval_ms,
            "agents": [self._agent(name, agent, name in late, told.get(name)) for name, agent in known],
            "system": self.system(now_s=now_s),
            "scaling": named(self.scaling),
            "cluster": named(self.cluster),
            "utilisation": named(self.utilisation),
        }

    def _agent(self, name: str, agent: Agent, late: bool, told: tuple[Any, ...] | None) -> dict[str, Any]:
        """`told`: the signature its readers have; they have the points of the series in it."""
        same_place = told is not None and told[:2] == _signature(agent)[:2]
        theirs = set(told[-1]) if told is not None and same_place else set()
        series = []
        for kind, held in zip(agent.kinds, agent.series.values(), strict=True):
            line: dict[str, Any] = {"name": kind[0], "type": kind[1], "unit": kind[2]}
            if kind not in theirs:
                line["points"] = [point for point in held.points if point[0] <= self._at_ms]
            series.append(line)
        return {
            "agent": name,
            "host": agent.report.host,
            "address": agent.report.address,
            "bundles": agent.report.bundles,
            "since_ms": agent.since_ms,
            "late": late,
            "series": series,
        }

    def _values(self, agent: Agent) -> list[float | None]:
        return [
            held.points[-1][1] if held.points and held.points[-1][0] > self._at_ms else None
            for held in agent.series.values()
        ]


def _signature(agent: Agent) -> tuple[Any, ...]:
    return (agent.report.host, agent.since_ms, agent.report.address, tuple(agent.report.bundles), agent.kinds)
