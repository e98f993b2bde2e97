"""When a unit counts as started, loaded, stopped, unloaded; and when waiting for it is pointless."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from inaetics.api.wire import MachineRef, UnitEntry
from inaetics.cli.verdicts import (
    Broken,
    Pending,
    Reached,
    Verdict,
    Waits,
    judge_load,
    judge_start,
    judge_stop,
    judge_unload,
)

HERE = MachineRef("8f3ac1d2" * 4, "worker-1", "127.17.8.101")
RUNS = UnitEntry(
    name="hello.service",
    hash="c0ffee",
    desired="launched",
    current="launched",
    machine=HERE,
    load="loaded",
    active="active",
    sub="running",
    result="success",
)


def but(**changes: object) -> UnitEntry:
    return msgspec.structs.replace(RUNS, **changes)


NOWHERE = but(machine=None, current="inactive", active=None, sub=None, result=None, load=None)


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
        pytest.param(judge_start, but(**{"machine": None, "reason": "full"}), Waits, id="start-waits"),
        pytest.param(judge_start, NOWHERE, Pending, id="start-about-to-be-placed"),
        pytest.param(judge_start, but(is_global=True, machine=None), Reached, id="start-global"),
        pytest.param(judge_start, but(desired="loaded"), Broken, id="start-stopped-by-somebody"),
        pytest.param(judge_start, None, Broken, id="start-destroyed-by-somebody"),
        pytest.param(judge_load, but(desired="loaded", current="loaded"), Reached, id="load-loaded"),
        pytest.param(judge_load, but(desired="loaded", current="inactive"), Pending, id="load-pending"),
        pytest.param(judge_load, but(desired="loaded", reason="full"), Waits, id="load-waits"),
        pytest.param(judge_stop, but(desired="loaded", current="launched"), Pending, id="stop-running"),
        pytest.param(judge_stop, but(desired="loaded", current="loaded"), Reached, id="stop-stopped"),
        pytest.param(judge_stop, but(desired="loaded", current="inactive"), Reached, id="stop-on-no-machine"),
        pytest.param(judge_stop, RUNS, Broken, id="stop-started-again-by-somebody"),
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
    assert "on worker-1: /bin/x: not found" in verdict.why
    assert "fleetctl journal hello.service" in verdict.why
