"""When a unit counts as started, loaded, stopped, unloaded; and when waiting for it is pointless."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from inaetics.api.wire import UnitEntry
from inaetics.cli.verdicts import (
    AGAIN_STANDS_S,
    Broken,
    Everywhere,
    Pending,
    Reached,
    Verdict,
    Waits,
    judge_load,
    judge_start,
    judge_stop,
    judge_unload,
)
from inaetics.cli.waiting import Standing
from tests.unit.cli.entries import RUNS, but

NOWHERE = but(machine=None, current="inactive", active=None, sub=None, result=None, load=None)
GLOBAL = msgspec.structs.replace(NOWHERE, is_global=True, desired="loaded")


@pytest.mark.parametrize(
    ("judge", "entry", "kind"),
    [
        pytest.param(judge_start, RUNS, Reached, id="start-active"),
        pytest.param(judge_start, but(active="activating", sub="start"), Pending, id="start-activating"),
        pytest.param(judge_start, but(current="loaded", active="inactive"), Pending, id="start-loaded"),
        pytest.param(judge_start, but(active="inactive", sub="dead"), Reached, id="start-oneshot-done"),
        pytest.param(judge_start, but(active="inactive", result="exit-code"), Broken, id="start-ended-badly"),
        pytest.param(judge_start, but(active="failed", sub="failed", result="exit-code"), Broken, id="start-failed"),
        pytest.param(judge_start, but(active="activating", sub="auto-restart"), Broken, id="start-again-and-again"),
        pytest.param(judge_start, but(load="error"), Broken, id="start-new-content-refused-while-the-old-runs"),
        pytest.param(judge_start, but(**{"machine": None, "reason": "full"}), Waits, id="start-waits"),
        pytest.param(judge_start, NOWHERE, Pending, id="start-about-to-be-placed"),
        pytest.param(judge_start, but(is_global=True, machine=None), Everywhere, id="start-global"),
        pytest.param(judge_start, but(desired="loaded"), Broken, id="start-stopped-by-somebody"),
        pytest.param(judge_start, None, Broken, id="start-destroyed-by-somebody"),
        pytest.param(judge_load, but(desired="loaded", current="loaded"), Reached, id="load-loaded"),
        pytest.param(judge_load, but(desired="loaded", current="inactive"), Pending, id="load-pending"),
        pytest.param(judge_load, but(desired="loaded", reason="full"), Waits, id="load-waits"),
        pytest.param(judge_stop, but(desired="loaded", current="launched"), Pending, id="stop-running"),
        pytest.param(judge_stop, but(desired="loaded", current="loaded"), Reached, id="stop-stopped"),
        pytest.param(judge_stop, but(desired="loaded", current="inactive"), Reached, id="stop-on-no-machine"),
        pytest.param(judge_stop, RUNS, Broken, id="stop-started-again-by-somebody"),
        pytest.param(judge_stop, GLOBAL, Everywhere, id="stop-global"),
        pytest.param(judge_load, GLOBAL, Everywhere, id="load-global"),
        pytest.param(
            judge_unload, but(is_global=True, machine=None, desired="inactive"), Everywhere, id="unload-global"
        ),
        pytest.param(judge_unload, but(desired="inactive", current="loaded"), Pending, id="unload-pending"),
        pytest.param(judge_unload, but(desired="inactive", machine=None), Reached, id="unload-gone"),
        pytest.param(judge_unload, None, Reached, id="unload-destroyed"),
    ],
)
def test_verdicts(judge: Callable[[UnitEntry | None], Verdict], entry: UnitEntry | None, kind: type[Verdict]) -> None:
    assert isinstance(judge(entry), kind)


def test_the_machine_is_named_as_the_original_named_it() -> None:
    assert judge_start(RUNS) == Reached("launched", "8f3ac1d2.../127.17.8.101")


def test_a_failure_is_told_in_the_machines_words_and_where_to_read_on() -> None:
    failed = but(active="failed", sub="failed", result="exit-code", message="/bin/x: not found")
    verdict = judge_start(failed)
    assert isinstance(verdict, Broken)
    assert "on worker-1: /bin/x: not found" in verdict.note
    assert "fleetctl journal hello.service" in verdict.note


def test_a_verdict_that_must_stand_is_believed_once_it_has_stood() -> None:
    standing = Standing()
    assert standing.hear(Waits("full"), 10.0) is None
    assert standing.due == 12.0
    assert standing.hear(Waits("full"), 11.9) is None
    assert standing.hear(Waits("still full"), 12.0) == Waits("still full")


def test_another_verdict_in_between_begins_anew() -> None:
    standing = Standing()
    standing.hear(Waits("full"), 10.0)
    assert standing.hear(Pending("loaded"), 11.0) is None
    assert standing.hear(Waits("full"), 12.0) is None
    assert standing.hear(Waits("full"), 14.0) == Waits("full")


def test_an_attempt_between_two_failures_is_no_success() -> None:
    standing = Standing()
    again = Broken("again", stands_s=AGAIN_STANDS_S)
    assert standing.hear(again, 0.0) is None
    assert standing.hear(Pending("activating"), 10.0) is None
    assert standing.hear(again, 15.0) == again


def test_a_second_attempt_that_succeeds_counts_at_once() -> None:
    standing = Standing()
    standing.hear(Broken("again", stands_s=AGAIN_STANDS_S), 0.0)
    assert standing.hear(Reached("launched"), 1.0) == Reached("launched")


def test_what_is_certain_is_believed_at_once() -> None:
    assert Standing().hear(Broken("failed"), 0.0) == Broken("failed")
