"""Processors are killed while the pipeline runs: the sum holds all the time, and a judge from outside acquits it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from inaetics.demonstrator.api import AccountingReport
from tests.support.eventually import eventually
from tests.support.pipeline import Pipeline

PATIENCE_S = 60


def test_killed_processors_lose_and_double_nothing(tmp_path: Path) -> None:
    _killed_again_and_again(tmp_path, kills=2, pause_s=1.0, rate=4000)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_processors_killed_every_few_seconds_for_ten_minutes_lose_and_double_nothing(tmp_path: Path) -> None:
    _killed_again_and_again(tmp_path, kills=150, pause_s=4.0, rate=4000)


def _killed_again_and_again(directory: Path, *, kills: int, pause_s: float, rate: int) -> None:
    with Pipeline(directory) as pipeline:
        pipeline.start("felix@1", "datastore", "accounting")
        pipeline.start("felix@2", "queue")
        pipeline.start("celix@1", "producer", producer_rate=rate)
        for number in (2, 3):
            _processor(pipeline, number)
        _flows(pipeline)
        for number in range(kills):
            time.sleep(pause_s)  # the load between two deaths, not a wait for anything
            pipeline.kill(f"celix@{number + 2}")
            _processor(pipeline, number + 4)
            _flows(pipeline)
        pipeline.set_utilisation(0)
        last = eventually(lambda: _through(pipeline), within_s=PATIENCE_S, what="everything went through")
        logs = "".join(path.read_text() for path in directory.glob("*.log"))
    assert last.stored > rate * pause_s * kills / 2
    assert "do not add up" not in logs
    _acquitted(directory, last.stored)


def _processor(pipeline: Pipeline, number: int) -> None:
    """One that is nearly always at work, so that a kill meets it there."""
    pipeline.start(f"celix@{number}", "processor", processor_cost_us=60)


def _flows(pipeline: Pipeline) -> None:
    before = eventually(pipeline.report, within_s=PATIENCE_S, what="the accounting tells of samples")

    def more() -> bool:
        report = pipeline.report(after_ms=before.at_ms)
        if not report.holds:
            pytest.fail(f"samples do not add up: {report}")
        return report.stored > before.stored

    eventually(more, within_s=PATIENCE_S, what="more samples are stored")


def _through(pipeline: Pipeline) -> AccountingReport:
    """A snapshot of a pipeline in which nothing moves any more."""
    first = pipeline.report()
    then = eventually(lambda: pipeline.report(after_ms=first.at_ms), within_s=PATIENCE_S, what="a later snapshot")
    assert (then.holds, then.produced, then.queued, then.in_flight) == (True, first.produced, 0, 0), then
    return then


def _acquitted(directory: Path, stored: int) -> None:
    store = directory / "data" / "felix@1" / "samples.sqlite"
    command = [sys.executable, "-m", "inaetics.demonstrator.check", "--logs", str(directory), "--store", str(store)]
    judge = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert judge.returncode == 0, judge.stdout + judge.stderr
    assert f" {stored} stored, 0 of them without a log: nothing missing, nothing twice" in judge.stdout
