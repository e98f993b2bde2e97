"""What the viewer makes of agents' reports."""

from __future__ import annotations

from inaetics.demonstrator.api import AgentReport, Stat
from inaetics.demonstrator.bundles.viewer.history import History


def _report(value: float, *, agent: str = "celix@1", host: str = "worker-1", name: str = "produced") -> AgentReport:
    kind = "gauge" if name == "queued" else "counter"
    return AgentReport(agent, host, "127.17.8.101", ["producer 1.0.0"], [Stat(name, kind, "samples", value)])


def test_a_counter_is_drawn_as_its_rate() -> None:
    history = History()
    history.heard(_report(100), now_s=0, now_ms=1000)
    history.heard(_report(150), now_s=0.5, now_ms=1500)
    (agent,) = history.statistics(since_ms=0, now_s=0.5)
    assert agent["series"] == [
        {"name": "produced", "type": "counter", "unit": "samples/s", "points": [(1500, 100.0)]},
    ]


def test_a_rate_is_smoothed_over_two_seconds() -> None:
    history = History()
    for reading in range(20):  # a batch of 100 every second reading, half a second apart
        history.heard(_report(reading // 2 * 100), now_s=reading / 2, now_ms=reading * 500)
    (agent,) = history.statistics(since_ms=3000, now_s=10)
    assert {value for _, value in agent["series"][0]["points"]} == {100.0}


def test_a_counter_that_began_again_is_no_negative_rate() -> None:
    history = History()
    for second, value in enumerate([100, 200, 10]):
        history.heard(_report(value), now_s=second, now_ms=second * 1000)
    (agent,) = history.statistics(since_ms=1500, now_s=2)
    assert agent["series"][0]["points"] == [(2000, 10.0)]


def test_totals_add_up_gauges_only_of_agents_that_are_not_late() -> None:
    history = History(late_after_s=3)
    history.heard(_report(100), now_s=0, now_ms=0)
    history.heard(_report(55, agent="felix@3", name="queued"), now_s=0, now_ms=0)
    history.heard(_report(30, agent="celix@2"), now_s=4, now_ms=4000)
    history.heard(_report(7, agent="felix@2", name="queued"), now_s=4, now_ms=4000)
    totals = history.totals(now_s=4)
    assert (totals["produced"], totals["queued"], totals["stored"]) == (130, 7, 0)


def test_totals_keep_what_ended_agents_did() -> None:
    history = History(forget_after_s=30)
    for second, (value, host) in enumerate([(100, "worker-1"), (10, "worker-1"), (4, "worker-2")]):
        history.heard(_report(value, host=host), now_s=second, now_ms=second * 1000)
    assert history.totals(now_s=2)["produced"] == 114
    history.forget_silent(now_s=60)
    assert history.totals(now_s=60)["produced"] == 114


def test_a_silent_agent_is_late_and_then_forgotten() -> None:
    history = History(late_after_s=3, forget_after_s=30)
    history.heard(_report(1), now_s=0, now_ms=0)
    assert [a["late"] for a in history.agents(now_s=2.9)] == [False]
    assert [a["late"] for a in history.agents(now_s=3.1)] == [True]
    history.forget_silent(now_s=31)
    assert history.agents(now_s=31) == []


def test_an_agent_that_moved_begins_a_new_graph() -> None:
    history = History()
    history.heard(_report(100), now_s=0, now_ms=0)
    history.heard(_report(120), now_s=1, now_ms=1000)
    history.heard(_report(5, host="worker-2"), now_s=2, now_ms=2000)
    (agent,) = history.statistics(since_ms=0, now_s=2)
    assert agent["host"] == "worker-2"
    assert agent["series"][0]["points"] == []


def test_what_is_no_number_is_left_out() -> None:
    history = History()
    for value in (1.0, float("nan"), float("inf"), 2.0):
        history.heard(_report(value, name="queued"), now_s=0, now_ms=0)
    assert history.totals(now_s=0)["queued"] == 2
    assert [point[1] for point in history.statistics(since_ms=-1, now_s=0)[0]["series"][0]["points"]] == [1.0, 2.0]


def test_series_go_with_their_bundle_and_what_they_counted_stays() -> None:
    history = History()
    history.heard(_report(100), now_s=0, now_ms=0)
    changed = AgentReport("celix@1", "worker-1", "127.17.8.101", ["processor 1.0.0"], [])
    history.heard(changed, now_s=1, now_ms=1000)
    assert history.statistics(since_ms=0, now_s=1)[0]["series"] == []
    assert history.totals(now_s=1)["produced"] == 100


def test_an_expected_agent_that_never_says_anything_is_late_and_stays() -> None:
    history = History(late_after_s=3, forget_after_s=30)
    history.expect("celix@9", since_s=0, now_ms=0)
    history.forget_silent(now_s=99, expected={"celix@9"})
    assert [(a["agent"], a["late"]) for a in history.agents(now_s=99)] == [("celix@9", True)]
    history.forget_silent(now_s=99)
    assert history.agents(now_s=99) == []
