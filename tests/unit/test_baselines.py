"""Whether the benches notice: a target that is missed, a figure that became worse, in both directions."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench import baselines
from bench.baselines import Figure, finish


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(baselines, "FOLDER", tmp_path)
    return tmp_path


def figure(*samples: float, more: bool = False, every: bool = False, target: float | None = None) -> Figure:
    return Figure(what="it", samples=samples, measure="calls/s", target=target, more=more, every=every)


@pytest.mark.parametrize(
    ("measured", "status"),
    [
        pytest.param(figure(9, 10, 30, target=10), 0, id="the median is at most the target"),
        pytest.param(figure(9, 11, 30, target=10), 1, id="it is more"),
        pytest.param(figure(9, 10, 30, target=10, every=True), 1, id="one run is more, and every run counts"),
        pytest.param(figure(1, 10, 30, target=10, more=True), 0, id="the median is at least the target"),
        pytest.param(figure(1, 9, 30, target=10, more=True), 1, id="it is less"),
        pytest.param(
            figure(9, 10, 30, target=10, more=True, every=True), 1, id="one run is less, and every run counts"
        ),
        pytest.param(figure(1000), 0, id="no target"),
    ],
)
def test_a_missed_target_fails_the_run(measured: Figure, status: int) -> None:
    assert finish("test", [measured], keep=False) == status


@pytest.mark.parametrize(
    ("more", "now", "status"),
    [
        pytest.param(False, 119.0, 0, id="less is better, a fifth more is in the noise"),
        pytest.param(False, 121.0, 1, id="more than a fifth more"),
        pytest.param(False, 10.0, 0, id="less"),
        pytest.param(True, 84.0, 0, id="more is better, a fifth less is in the noise"),
        pytest.param(True, 83.0, 1, id="more than a fifth less"),
        pytest.param(True, 900.0, 0, id="more"),
    ],
)
def test_a_figure_that_became_worse_fails_the_run(
    more: bool, now: float, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert finish("test", [figure(100, more=more)], keep=True) == 0
    assert finish("test", [figure(now, more=more)], keep=False) == status
    assert ("REGRESSION it" in capsys.readouterr().out) == bool(status)
    assert finish("other", [figure(now, more=more)], keep=False) == 0, "each bench has its own"


def test_a_missed_target_fails_also_the_run_that_is_kept(folder: Path) -> None:
    assert finish("test", [figure(11, target=10)], keep=True) == 1
    assert [path.name.endswith(".test.json") for path in folder.iterdir()] == [True]
