"""What the viewer remembers of every agent, pure: the last readings, rates of counters, totals of the pipeline."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from inaetics.demonstrator.api import AgentReport, Stat

POINTS = 180
"""Readings kept of each series: a minute and a half at two a second."""

SMOOTHING = 4
"""Readings a rate is taken over: two seconds."""

TOTALS = {
    "produced": "produced",
    "refused": "refused",
    "queued": "queued",
    "in_flight": "in flight",
    "processed": "processed",
    "stored": "stored",
}
"""Name in the JSON → name of the stat that is summed over all agents."""

GAUGES = {"queued", "in_flight"}

MOST_SERIES = 64
"""Of one agent: what a mistaken bundle makes up beyond them is left out."""


@dataclass(slots=True)
class Series:
    """One line of a graph. A counter is drawn as its rate a second over the last `SMOOTHING` readings.

    Samples travel in batches, so the rate between two readings alone would jump about.
    """

    stat: Stat
    points: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=POINTS))
    counted: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=SMOOTHING + 1))
    """The counter's last readings: seconds, value."""

    def add(self, stat: Stat, *, now_s: float, now_ms: int) -> None:
        """Add a reading; a counter that went back began again from zero."""
        if stat.type == "counter":
            self._count(stat.value, now_s, now_ms, began_again=stat.value < self.stat.value)
        else:
            self.points.append((now_ms, round(stat.value, 3)))
        self.stat = stat

    def _count(self, value: float, now_s: float, now_ms: int, *, began_again: bool) -> None:
        if began_again and self.counted:
            last_s, _ = self.counted[-1]
            self.counted.clear()
            self.counted.append((last_s, 0.0))
        self.counted.append((now_s, value))
        first_s, first = self.counted[0]
        if now_s > first_s:
            self.points.append((now_ms, round((value - first) / (now_s - first_s), 2)))


@dataclass(slots=True)
class Agent:
    """One agent as last heard."""

    report: AgentReport
    heard_s: float
    since_ms: int
    series: dict[str, Series] = field(default_factory=dict)

    @property
    def kinds(self) -> tuple[tuple[str, str, str], ...]:
        """Name, type and unit of each series as drawn, in their order."""
        return tuple((s.stat.name, s.stat.type, drawn_unit(s.stat)) for s in self.series.values())


class History:
    """Everything heard so far. `late_after_s` is when an agent that says nothing is shown as late, `forget_after_s`
    when it leaves the page. Times in `_s` are of any steady clock; those in `_ms` are for people."""

    def __init__(self, *, late_after_s: float = 3.0, forget_after_s: float = 30.0) -> None:
        self._late_after_s = late_after_s
        self._forget_after_s = forget_after_s
        self._agents: dict[str, Agent] = {}
        self._past: defaultdict[str, float] = defaultdict(float)
        """Sums of counters of agents that ended or began again: what was processed stays processed."""

    def heard(self, report: AgentReport, *, now_s: float, now_ms: int) -> None:
        """Add what an agent just said."""
        agent = self._agents.get(report.agent)
        if agent is None or agent.report.host != report.host:  # new, or moved: its counters began again
            self._forget(report.agent)
            agent = self._agents[report.agent] = Agent(report, now_s, now_ms)
        if report.bundles != agent.report.bundles:
            self._drop_unsaid(agent, {stat.name for stat in report.stats})
        for stat in report.stats[:MOST_SERIES]:
            if not math.isfinite(stat.value):
                continue
            series = agent.series.setdefault(stat.name, Series(stat))
            if stat.type == "counter" and stat.value < series.stat.value:
                self._past[stat.name] += series.stat.value
            series.add(stat, now_s=now_s, now_ms=now_ms)
        agent.report, agent.heard_s = report, now_s

    def expect(self, name: str, *, since_s: float, now_ms: int) -> None:
        """Note an agent that should have said something `since_s`: it is shown, late, even if it never does."""
        if name not in self._agents:
            self._agents[name] = Agent(AgentReport(name, "", "", [], []), since_s, now_ms)

    def forget_silent(self, *, now_s: float, expected: Collection[str] = ()) -> None:
        """Remove the agents not heard for long, unless they are `expected` to say something."""
        for name in [n for n, a in self._agents.items() if now_s - a.heard_s > self._forget_after_s]:
            if name not in expected:
                self._forget(name)

    def _forget(self, name: str) -> None:
        agent = self._agents.pop(name, None)
        if agent is not None:
            self._drop_unsaid(agent, set())

    def _drop_unsaid(self, agent: Agent, said: set[str]) -> None:
        """Let go of the series that `said` does not name; what they counted stays counted."""
        for name in [name for name in agent.series if name not in said]:
            series = agent.series.pop(name)
            if series.stat.type == "counter":
                self._past[name] += series.stat.value

    def statistics(self, *, since_ms: int, now_s: float) -> list[dict[str, Any]]:
        """Every agent's series with the points after `since_ms`, by agent's name."""
        return [
            {
                "agent": name,
                "host": agent.report.host,
                "late": self._late(agent, now_s),
                "series": [
                    {
                        "name": series.stat.name,
                        "type": series.stat.type,
                        "unit": drawn_unit(series.stat),
                        "points": [point for point in series.points if point[0] > since_ms],
                    }
                    for series in agent.series.values()
                ],
            }
            for name, agent in self.known()
        ]

    def totals(self, *, now_s: float) -> dict[str, Any]:
        """What counters reached, ended agents included; what gauges show at agents that are not late; rates."""
        everybody = list(self._agents.values())
        agents = [agent for agent in everybody if not self._late(agent, now_s)]
        stats = {
            key: _sum(
                [self._past[name], *(s.stat.value for s in _series(agents if key in GAUGES else everybody, name))]
            )
            for key, name in TOTALS.items()
        }
        rates = {
            key: round(_sum(s.points[-1][1] for s in _series(agents, name) if s.points), 1)
            for key, name in TOTALS.items()
            if key not in GAUGES
        }
        return {**stats, "rates": rates}

    def gauges(self, name: str, *, now_s: float) -> list[float]:
        """What agents that are not late show of a gauge."""
        agents = [agent for agent in self._agents.values() if not self._late(agent, now_s)]
        return [series.stat.value for series in _series(agents, name)]

    def known(self) -> list[tuple[str, Agent]]:
        """All agents, by name."""
        return sorted(self._agents.items())

    def late(self, *, now_s: float) -> list[str]:
        """The names of those that say nothing."""
        return [name for name, agent in self.known() if self._late(agent, now_s)]

    def agents(self, *, now_s: float) -> list[dict[str, Any]]:
        """Who is there, where, since when, with which bundles."""
        return [
            {
                "agent": name,
                "host": agent.report.host,
                "address": agent.report.address,
                "bundles": agent.report.bundles,
                "since_ms": agent.since_ms,
                "late": self._late(agent, now_s),
            }
            for name, agent in self.known()
        ]

    def _late(self, agent: Agent, now_s: float) -> bool:
        return now_s - agent.heard_s > self._late_after_s


def drawn_unit(stat: Stat) -> str:
    """A counter is drawn as a rate."""
    return stat.unit + ("/s" if stat.type == "counter" else "")


def _series(agents: Iterable[Agent], name: str) -> list[Series]:
    return [agent.series[name] for agent in agents if name in agent.series]


def _sum(values: Iterable[float]) -> int | float:
    total = sum(values)
    return int(total) if total == int(total) else total
