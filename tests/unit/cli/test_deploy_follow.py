"""Who is waited for, and for how long."""

from __future__ import annotations

import time

import pytest

from inaetics.api.provisioning_wire import TargetEntry, TargetList
from inaetics.bundles.outcome import Outcome
from inaetics.cli import deploy_follow
from inaetics.cli.deploy_follow import AWAY_S, GIVEN_S, _look, answered
from inaetics.errors import Unavailable


@pytest.mark.parametrize(
    ("outcome", "unit", "waited_s", "where"),
    [
        pytest.param("waiting", "active", 50.0, "late", id="its unit runs"),
        pytest.param("given", "activating", 50.0, "late", id="its unit runs, and it was given its bundles"),
        pytest.param("waiting", "", AWAY_S - 0.1, "late", id="it may speak yet"),
        pytest.param("waiting", "", AWAY_S, "away", id="nobody hears of it"),
        pytest.param("waiting", "inactive", AWAY_S, "away", id="its unit was stopped"),
        pytest.param("given", "", AWAY_S, "late", id="it has its bundles and may be starting them"),
        pytest.param("given", "", GIVEN_S, "away", id="it was told on its way out"),
        pytest.param("current", "", 50.0, "current", id="it runs them"),
        pytest.param("failed", "", 0.0, "failed", id="it refused them"),
    ],
)
def test_who_is_waited_for(outcome: Outcome, unit: str, waited_s: float, where: str) -> None:
    listed = TargetList(version=3, targets=(TargetEntry(target="a", outcome=outcome, unit=unit),))
    found = _look(listed, {"a"}, waited_s=waited_s, others=False)
    places = {"current": found.current, "failed": found.failed, "late": found.late, "away": found.away}
    assert [name for name, there in places.items() if "a" in there] == [where]


@pytest.mark.parametrize("patience_s", [20.0, 0.0])
def test_an_api_that_dies_in_between_is_asked_again_for_a_while(
    patience_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploy_follow, "AGAIN_S", 0.01)
    asked: list[str] = []

    def ask() -> str:
        asked.append("once more")
        if len(asked) < 3:
            raise Unavailable("its host was killed")
        return "answered"

    until = time.monotonic() + patience_s
    if patience_s:
        assert answered(ask, until=until) == "answered"
    else:
        with pytest.raises(Unavailable):
            answered(ask, until=until)
        assert len(asked) == 1
