"""How an update that goes on is told, line by line."""

from __future__ import annotations

import time

import pytest

from inaetics.api.rollouts_wire import PullEntry, RolloutEntry, StepEntry
from inaetics.cli.rollout_display import change, follow_to_the_end, print_plan

OLD, NEW = "sha256:" + "a" * 64, "sha256:" + "b" * 64


def step(number: int = 1, progress: str = "waiting", doing: str = "", message: str = "") -> StepEntry:
    return StepEntry(
        unit=f"felix@{number}.service",
        progress=progress,
        doing=doing,
        message=message,
        machine=f"worker-{number}",
        old_image=OLD,
        new_image=NEW,
    )


def entry(
    *steps: StepEntry, phase: str = "rolling", reason: str = "", skipped: tuple[StepEntry, ...] = ()
) -> RolloutEntry:
    return RolloutEntry(
        id="r1",
        target="felix-agent",
        phase=phase,
        old_hash="",
        new_hash="",
        at_once=1,
        by="me",
        started_at=10.0,
        ended_at=0.0 if phase in ("rolling", "undoing") else 17.5,
        reason=reason,
        steps=steps,
        skipped=skipped,
        of_images=True,
    )


def told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *entries: RolloutEntry
) -> tuple[int, list[str]]:
    """What is printed while an update goes through these, and the exit code."""
    from inaetics.api import rollouts_client
    from inaetics.api.client import FleetClient
    from inaetics.api.rollouts_wire import RolloutReply

    monkeypatch.setattr(rollouts_client, "follow", lambda client, reply: iter(entries))
    client = FleetClient("unix:///nowhere")
    code = follow_to_the_end(client, RolloutReply(revision=1, rollout=entries[0]), block=True, output="table")
    return code, capsys.readouterr().out.splitlines()


def test_each_step_is_told_once_and_pulling_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter((100.0, 100.2, 101.3))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    changing = [
        entry(step(1, "changing", f"on worker-1: {words}"), step(2))
        for words in (
            "stops what ran before",
            "pulling 1 of 38 MB",
            "pulling 7 of 38 MB",
            "pulling 34 of 38 MB",
            "starts",
        )
    ]
    code, lines = told(
        monkeypatch,
        capsys,
        entry(step(1), step(2)),
        *changing,
        changing[-1],
        entry(step(1, "done", "active, healthy after 5 s"), step(2)),
        entry(step(1, "done"), step(2, "done", "active, healthy after 5 s"), phase="done"),
    )
    assert code == 0
    assert lines == [
        "update r1 of felix-agent: aaaaaaa → bbbbbbb, 2 to update",
        "  felix@1.service changing",
        "  felix@1.service on worker-1: stops what ran before",
        "  felix@1.service on worker-1: pulling 1 of 38 MB",
        "  felix@1.service on worker-1: pulling 34 of 38 MB",
        "  felix@1.service on worker-1: starts",
        "  felix@1.service done: active, healthy after 5 s",
        "  felix@2.service done: active, healthy after 5 s",
        "update r1 of felix-agent: done after 7.5 s",
    ]


def test_one_that_is_undone_says_why(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    skipped = (step(3, "skipped", message="it is not known yet which image it runs"),)
    code, lines = told(
        monkeypatch,
        capsys,
        entry(step(1, "changing"), skipped=skipped),
        entry(step(1, "restoring", message="status 7"), phase="undoing", reason="felix@1.service is not well"),
        entry(step(1, "restored", message="status 7"), phase="undone", reason="felix@1.service is not well"),
    )
    assert code == 1
    assert lines[1:] == [
        "  felix@3.service skipped: it is not known yet which image it runs",
        "  felix@1.service changing",
        "  felix@1.service restoring: status 7",
        "  felix@1.service restored: status 7",
        "update r1 of felix-agent: undone after 7.5 s: felix@1.service is not well",
    ]


def test_a_plan_shows_order_machines_and_amounts(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = (38_400_000, 0, None)
    steps = [
        StepEntry(
            unit=f"felix@{number}.service",
            progress="waiting",
            machine=f"worker-{number}",
            old_image=OLD,
            new_image=NEW,
            pulls=(PullEntry(machine=f"worker-{number}", size=size),),
        )
        for number, size in enumerate(sizes, 1)
    ]
    skipped = (step(9, "skipped", message="no registry answers"),)
    print_plan(entry(*steps, skipped=skipped), "table")
    assert [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()] == [
        "felix-agent: aaaaaaa → bbbbbbb, 3 units in this order, at most 1 at once",
        "UNIT MACHINE FROM TO TO PULL",
        "1 felix@1.service worker-1 aaaaaaa bbbbbbb 38.4 MB",
        "2 felix@2.service worker-2 aaaaaaa bbbbbbb nothing",
        "3 felix@3.service worker-3 aaaaaaa bbbbbbb not known",
        "felix@9.service would be skipped: no registry answers",
    ]


def test_several_images_are_counted() -> None:
    other = StepEntry(unit="b.service", progress="waiting", old_image="sha256:" + "c" * 64, new_image=NEW)
    assert change(entry(step(1), other)) == "2 images → bbbbbbb"
