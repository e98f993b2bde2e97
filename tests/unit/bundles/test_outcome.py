"""How far a target is with what it shall run, by what it said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import pytest

from inaetics.bundles.outcome import outcome_of
from inaetics.bundles.records import Entry, Standing

OLD, SAME, NEW = "6-aaa", "6-bbb", "7-bbb"
Event = tuple[Literal["given", "installed", "failed", "rolled-back"], str]


def standing(*events: Event) -> Standing | None:
    found: Standing | None = None
    for at, (event, version) in enumerate(events):
        found = Standing.after(found, Entry(at=at, event=event, version=version))
    return found


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param((), "waiting", id="nobody ever heard of it"),
        pytest.param((("given", OLD), ("installed", OLD)), "waiting", id="it runs something else"),
        pytest.param((("installed", OLD), ("given", NEW)), "given", id="it was told"),
        pytest.param((("given", NEW), ("installed", NEW)), "current", id="it did it"),
        pytest.param((("given", SAME), ("installed", SAME)), "current", id="the same bundles by an earlier version"),
        pytest.param((("installed", OLD), ("given", NEW), ("failed", NEW)), "failed", id="it refused"),
        pytest.param((("installed", OLD), ("given", NEW), ("rolled-back", NEW)), "failed", id="it went back"),
        pytest.param((("installed", OLD), ("rolled-back", SAME)), "waiting", id="it will be given it once more"),
        pytest.param((("installed", SAME), ("given", "6-ccc")), "waiting", id="it is on its way elsewhere"),
        pytest.param((("installed", SAME), ("rolled-back", "6-ccc")), "current", id="it stayed where it shall be"),
        pytest.param((("installed", SAME), ("given", SAME)), "current", id="it asked again after a restart"),
        pytest.param((("installed", NEW), ("rolled-back", NEW)), "failed", id="it cannot start any more what it ran"),
    ],
)
def test_outcome(events: Sequence[Event], expected: str) -> None:
    assert outcome_of(NEW, standing(*events)) == expected
