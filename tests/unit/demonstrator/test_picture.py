"""What the page shows of the fleet's events, from how the fleet itself writes them."""

from __future__ import annotations

import msgspec
import pytest

from inaetics.api.events_v1 import _entry
from inaetics.demonstrator.api import ClusterEvent
from inaetics.demonstrator.bundles.coordinator import picture
from inaetics.fleet.events import Clock, Event, Kind, Timeline

LINE = Timeline(detected_at=100.0, decided_ms=14, pulled_ms=31, started_ms=420, active_ms=1290)
EVENT = Event(
    revision=7, index=3, time=101.29, clock=Clock.RECORD, kind=Kind.FAILOVER, unit="celix@1.service",
    machine="worker-3", machine_id="3" * 32, left="worker-4", reason="worker-4 was lost", timeline=LINE,
)  # fmt: skip


def shown(event: Event) -> ClusterEvent:
    """As the API tells it and the coordinator reads it."""
    return picture.event(msgspec.json.decode(msgspec.json.encode(_entry(event)), type=picture.EventSaid))


def test_a_failover_is_told_whole() -> None:
    steps = [("detected", 0), ("decided", 14), ("pulled", 31), ("started", 420), ("active", 1290)]
    assert shown(EVENT) == ClusterEvent(
        "7.3", 101_290, "failover", "celix@1.service", "worker-3", "from worker-4", steps
    )


def test_a_loss_that_nobody_saw_is_no_step() -> None:
    line = Timeline(detected_at=None, decided_ms=0, pulled_ms=None, started_ms=400, active_ms=900)
    steps = shown(msgspec.structs.replace(EVENT, timeline=line)).failover
    assert steps == [("decided", 0), ("started", 400), ("active", 900)]


def test_what_is_not_said_is_not_zero() -> None:
    said = msgspec.json.decode(b'{"id": "7.3", "timeline": {"detected_at": 100.0}}', type=picture.EventSaid)
    assert picture.event(said).failover == [("detected", 0)]


@pytest.mark.parametrize(
    ("event", "text"),
    [
        pytest.param({"kind": Kind.MOVED, "reason": "least loaded"}, "from worker-4; least loaded", id="moved"),
        pytest.param({"kind": Kind.LEFT, "unit": "", "left": "", "reason": ""}, "", id="left"),
        pytest.param({"kind": Kind.RETURNED, "left": "", "reason": "", "message": "after 5 s"}, "after 5 s", id="back"),
        pytest.param({"kind": Kind.FAILED, "left": "", "message": "exit 3", "reason": ""}, "exit 3", id="failed"),
    ],
)
def test_what_happened_in_words(event: dict[str, object], text: str) -> None:
    told = shown(msgspec.structs.replace(EVENT, timeline=None, **event))
    assert (told.kind, told.text, told.failover) == (event["kind"], text, [])
