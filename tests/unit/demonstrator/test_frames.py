"""What open pages are sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from inaetics.demonstrator.api import AccountingReport, AgentReport, Cluster, ClusterEvent, ScaleSet, Scaling, Stat
from inaetics.demonstrator.bundles.viewer.frames import Board, Utilisation, frame, named
from inaetics.demonstrator.bundles.viewer.history import History


def board() -> Board:
    return Board(History(), interval_ms=500, now_ms=0)


def hear(board: Board, now_ms: int, agent: str = "felix@2", bundles: str = "queue 1.0.0", **stats: float) -> None:
    """A report with these gauges; time passes as in `tick`."""
    said = [Stat(name.replace("_", " "), "gauge", "", value) for name, value in stats.items()]
    report = AgentReport(agent, "worker-2", "127.17.8.102", [bundles], said)
    board.history.heard(report, now_s=now_ms / 1000, now_ms=now_ms)


def tick(board: Board, now_ms: int) -> list[tuple[str, Any]]:
    return [parsed(each) for each in board.tick(now_s=now_ms / 1000, now_ms=now_ms)]


def parsed(data: bytes) -> tuple[str, Any]:
    """An event as a browser reads it: its name and its JSON."""
    fields = dict(line.split(": ", 1) for line in data.decode().split("\n") if line)
    assert data.endswith(b"\n\n")
    return fields["event"], json.loads(fields["data"])


class Page:
    """What a page knows that was told so much: points by agent and series, as the contract of the two events says."""

    def __init__(self, events: list[tuple[str, Any]]) -> None:
        self.lines: dict[str, dict[str, list[float]]] = {}
        for name, data in events:
            if name == "hello":
                self.hello(data)
            elif name == "points":
                self.points(data)

    def hello(self, data: Mapping[str, Any]) -> None:
        before, self.lines = self.lines, {}
        for agent in data["agents"]:
            known = before.get(agent["agent"], {})
            self.lines[agent["agent"]] = {
                line["name"]: [value for _, value in line["points"]] if "points" in line else known[line["name"]]
                for line in agent["series"]
            }

    def points(self, data: Mapping[str, Any]) -> None:
        for agent, values in data["agents"].items():
            for line, value in zip(self.lines[agent].values(), values, strict=True):
                if value is not None:
                    line.append(value)


def test_a_page_that_comes_at_any_moment_has_every_point_once() -> None:
    shown = board()
    events: list[tuple[str, Any]] = []
    late_comers: list[tuple[int, list[tuple[str, Any]]]] = []
    for step in range(12):
        now_ms = step * 500 + 100
        hear(shown, now_ms, queued=step)
        if step % 3 == 2:  # a reading is heard, and somebody comes before the tick
            late_comers.append((len(events), [parsed(shown.hello(now_s=now_ms / 1000))]))
        if step == 6:
            hear(shown, now_ms + 1, agent="celix@1", rate=1)
        events += tick(shown, now_ms + 50)
    assert Page(events).lines["felix@2"]["queued"] == list(range(12))
    for at, hello in late_comers:
        assert Page([*hello, *events[at:]]).lines["felix@2"]["queued"] == list(range(12)), f"came after {at} events"
        assert Page([*hello, *events[at:]]).lines["celix@1"]["rate"] == [1]


def test_hello_comes_again_only_when_agents_bundles_or_series_change() -> None:
    shown = board()
    hear(shown, 0, queued=1)
    assert [name for name, _ in tick(shown, 100)] == ["hello", "points"]
    hear(shown, 500, queued=2)
    assert [name for name, _ in tick(shown, 600)] == ["points"]
    hear(shown, 1000, queued=2, fill=1)
    ((_, hello), _) = tick(shown, 1100)
    assert [("points" in line) for line in hello["agents"][0]["series"]] == [False, True]
    hear(shown, 1500, bundles="queue 1.1.0", queued=2, fill=1)
    ((_, hello), _) = tick(shown, 1600)
    assert hello["agents"][0]["bundles"] == ["queue 1.1.0"]


def test_who_says_nothing_has_no_points_and_is_late() -> None:
    shown = board()
    hear(shown, 1, queued=1)
    tick(shown, 100)
    ((_, points),) = tick(shown, 600)
    assert (points["agents"], points["late"]) == ({"felix@2": [None]}, [])
    ((_, points),) = tick(shown, 5000)
    assert points["late"] == ["felix@2"]


def test_one_hello_is_made_for_all_who_come_between_two_ticks() -> None:
    shown = board()
    hear(shown, 1, queued=1)
    tick(shown, 100)
    hello = shown.hello(now_s=0.2)
    assert shown.hello(now_s=0.3) is hello
    tick(shown, 600)
    assert shown.hello(now_s=0.7) is not hello


def test_scaling_cluster_and_utilisation_are_told_when_they_change() -> None:
    shown = board()
    tick(shown, 0)
    shown.scaling = Scaling([ScaleSet("processors", 3, 2, 1, 6)], True, "fine", 20, 60, [])
    shown.cluster = Cluster(100, [], [], [ClusterEvent("1", 5, "moved", "a", "w", "t", [("active", 12)])], True, "")
    shown.utilisation = Utilisation(percent=40)
    told = dict(tick(shown, 500))
    assert told.keys() == {"scaling", "cluster", "utilisation", "points"}
    assert told["scaling"]["sets"] == [{"kind": "processors", "wanted": 3, "running": 2, "least": 1, "most": 6}]
    assert told["cluster"]["events"][0]["failover"] == [["active", 12]]
    assert told["utilisation"] == {"percent": 40, "cost_us": None, "mode": None, "differ": []}
    shown.cluster = Cluster(999, [], [], shown.cluster.events, True, "")  # looked at again: no news
    assert [name for name, _ in tick(shown, 1000)] == ["points"]
    shown.cluster = None
    assert dict(tick(shown, 1500))["cluster"] is None


@pytest.mark.parametrize(
    ("p50", "p99", "stored", "shown_as"),
    [
        pytest.param(8, 40, 100, {"p50": 8, "p99": 40}, id="as measured"),
        pytest.param(0, 0, 0, None, id="nothing is stored"),
        pytest.param(0, 0, 100, None, id="not measured yet"),
        pytest.param(-180_000, 40, 100, None, id="a clock was set"),
    ],
)
def test_latency(p50: float, p99: float, stored: float, shown_as: object) -> None:
    shown = board()
    for second in (0, 1):
        stats = [Stat("latency p50", "gauge", "ms", p50), Stat("latency p99", "gauge", "ms", p99)]
        counted = Stat("stored", "counter", "samples", stored * second)
        report = AgentReport("felix@1", "w", "a", [], [*stats, counted])
        shown.history.heard(report, now_s=second, now_ms=second * 1000)
    assert shown.system(now_s=1)["latency_ms"] == shown_as


def test_the_queue_and_the_accounting_as_a_whole() -> None:
    shown = board()
    assert shown.system(now_s=0)["queue_percent"] is None
    hear(shown, 0, queued=50, fill=25.0, capacity=200)
    shown.accounting = AccountingReport(10, 1, 2, 3, 4, 1000, True, 0, 0, "")
    system = shown.system(now_s=0)
    assert (system["queue_percent"], system["queue_capacity"], system["queued"]) == (25.0, 200, 50)
    assert system["accounting"] == {
        "produced": 10, "refused": 1, "queued": 2, "in_flight": 3, "stored": 4,
        "at_ms": 1000, "holds": True, "lost_with_queue": 0, "since_ms": 0, "note": "",
    }  # fmt: skip


def test_an_event_is_one_line_whatever_is_said() -> None:
    assert parsed(frame("x", {"text": "a\nb\r\n\u2028é"})) == ("x", {"text": "a\nb\r\n\u2028é"})
    assert named([Stat("a", "gauge", "", 1)]) == [{"name": "a", "type": "gauge", "unit": "", "value": 1}]
