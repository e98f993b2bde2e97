"""What a run under power cuts is acquitted on: evidence that is not there speaks against it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.judged_run import Run, Watched, faults

LAST = {"holds": True, "lost_with_queue": 0, "at_ms": 5}
ACQUITTED = "2 producers, 940 samples accepted: nothing missing, nothing twice"


def run(
    *, guilty: str = "", verdict: str = ACQUITTED, met: frozenset[str] = frozenset({"producer"}), **more: Any
) -> Run:
    watched = Watched(**{"looks": 600, "silent": 60, "last": LAST, **more})
    return Run(watched, ["worker-4: celix@1.service"], set(met), verdict, guilty)


def test_a_run_that_was_seen_and_judged_is_acquitted() -> None:
    assert faults(run(), met={"producer"}) == []


@pytest.mark.parametrize(
    ("against", "words"),
    [
        pytest.param({"guilty": "2 samples stored twice"}, "2 samples stored twice", id="the judge found something"),
        pytest.param(
            {"verdict": "cannot judge: no log"}, "the judge did not acquit: cannot judge", id="could not judge"
        ),
        pytest.param({"verdict": ""}, "it said nothing", id="was not judged"),
        pytest.param({"red": [{"holds": False}]}, "did not hold 1 times", id="red once"),
        pytest.param({"silent": 61}, "not to be had in 61 of 600 looks", id="mostly not seen"),
        pytest.param({"looks": 0, "silent": 0}, "in 0 of 0 looks", id="never looked"),
        pytest.param({"last": {}}, "does not say that all is well", id="no last accounting"),
        pytest.param({"last": LAST | {"lost_with_queue": 3}}, "does not say that all is well", id="the queue was hit"),
        pytest.param({"met": frozenset({"processor"})}, "no agent with producer died (worker-4", id="nobody met"),
    ],
)
def test_what_speaks_against_a_run(against: dict[str, Any], words: str) -> None:
    found = faults(run(**against), met={"producer"})
    assert any(words in each for each in found), found
