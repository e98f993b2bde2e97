"""What an agent does about one unit; the case's name is the rule."""

from __future__ import annotations

import pytest

from inaetics.fleet.agent_plan import (
    NOTHING,
    Confirm,
    Load,
    Memory,
    Restart,
    Seen,
    Start,
    Stop,
    Task,
    Unload,
    failed,
    given_up,
    report,
    tasks,
)
from inaetics.fleet.model import Desired, MachineId, Placement, UnitName
from inaetics.supervisor.protocol import Active, UnitStatus

UNIT, MACHINE = UnitName("a.service"), MachineId("m")
TEXT, OTHER = "text", "other"


def placement(
    desired: Desired = Desired.LAUNCHED, *, withdraw: bool = False, revision: int = 7, image: str = ""
) -> Placement:
    return Placement(
        unit=UNIT,
        machine=MACHINE,
        content_hash="submitted",
        desired=desired,
        reason="",
        since=0.0,
        withdraw=withdraw,
        image=image,
        revision=revision,
    )


def seen(active: Active, content_hash: str = TEXT, *, run: str = "") -> Seen:
    status = UnitStatus(
        name=UNIT,
        load="loaded",
        active=active,
        sub="",
        result="success",
        content_hash=content_hash,
        since=3.0,
        run_hash=run or content_hash,
    )
    return Seen(status=status, known=True)


LOADED_ONLY = Seen(known=True)
DONE = Memory(answered=7, content_hash="submitted", given_hash=TEXT)
EARLIER = Memory(answered=5, content_hash="submitted", given_hash=TEXT)
BEFORE = Memory(answered=5, content_hash="before", given_hash=OTHER)
NEW = Memory()


@pytest.mark.parametrize(
    ("where", "what", "memory", "expected"),
    [
        pytest.param(placement(), NOTHING, NEW, [Load, Start], id="what is placed is loaded and started"),
        pytest.param(placement(Desired.LOADED), NOTHING, NEW, [Load], id="what is to be loaded is not started"),
        pytest.param(placement(), seen(Active.ACTIVE), DONE, [], id="what runs is left alone"),
        pytest.param(placement(), seen(Active.ACTIVE), NEW, [], id="what runs is adopted"),
        pytest.param(placement(), seen(Active.ACTIVATING), NEW, [], id="what is starting is adopted"),
        pytest.param(placement(), seen(Active.FAILED), DONE, [], id="what failed is its supervisor's business"),
        pytest.param(placement(), seen(Active.INACTIVE), DONE, [], id="what ended is its supervisor's business"),
        pytest.param(placement(), seen(Active.FAILED), EARLIER, [Start], id="a new decision starts what failed before"),
        pytest.param(
            placement(), seen(Active.INACTIVE), NEW, [Start], id="what was loaded and never started is started"
        ),
        pytest.param(placement(), seen(Active.DEACTIVATING), EARLIER, [Start], id="what is stopping is started again"),
        pytest.param(
            placement(Desired.LOADED), seen(Active.ACTIVE), EARLIER, [Stop], id="what shall not run is stopped"
        ),
        pytest.param(placement(Desired.LOADED), seen(Active.INACTIVE), EARLIER, [], id="what is stopped stays stopped"),
        pytest.param(placement(), NOTHING, DONE, [Load, Start], id="what a reboot took away comes back"),
        pytest.param(placement(), LOADED_ONLY, DONE, [], id="what was loaded just now is awaited"),
        pytest.param(placement(), seen(Active.ACTIVE, OTHER), BEFORE, [Load, Restart], id="new content restarts"),
        pytest.param(
            placement(), seen(Active.FAILED, OTHER), BEFORE, [Load, Start], id="new content starts what failed"
        ),
        pytest.param(
            placement(), seen(Active.ACTIVE, run=OTHER), BEFORE, [Restart], id="new content that was only loaded"
        ),
        pytest.param(
            placement(), seen(Active.ACTIVE, run=OTHER), NEW, [Restart], id="also where nothing is remembered"
        ),
        pytest.param(
            placement(), seen(Active.ACTIVE, run=OTHER), EARLIER, [], id="what it has said that it runs is left alone"
        ),
        pytest.param(
            placement(image="sha256:b"),
            seen(Active.ACTIVE, run=OTHER),
            Memory(answered=6, content_hash="submitted", image="sha256:a"),
            [Restart],
            id="another image that was only loaded",
        ),
        pytest.param(
            placement(Desired.LOADED),
            seen(Active.ACTIVE, OTHER),
            BEFORE,
            [Load, Stop],
            id="new content that shall not run",
        ),
        pytest.param(
            placement(),
            seen(Active.ACTIVE, OTHER),
            Memory(answered=7, content_hash="submitted"),
            [Load],
            id="a host's own additions do not restart what runs for the same decision",
        ),
        pytest.param(
            placement(image="sha256:a"),
            seen(Active.ACTIVE, OTHER),
            Memory(answered=6, content_hash="submitted", image="sha256:a"),
            [Load],
            id="a digest that it was found to run restarts nothing",
        ),
        pytest.param(
            placement(image="sha256:b"),
            seen(Active.ACTIVE, OTHER),
            Memory(answered=6, content_hash="submitted", image="sha256:a"),
            [Load, Restart],
            id="another image restarts",
        ),
        pytest.param(
            placement(image="sha256:a"),
            seen(Active.FAILED, OTHER),
            Memory(answered=6, content_hash="submitted", image="sha256:a"),
            [Load, Start],
            id="what does not run is started all the same",
        ),
        pytest.param(placement(), seen(Active.ACTIVE, OTHER), DONE, [], id="the same text is not given twice"),
        pytest.param(
            placement(withdraw=True), seen(Active.ACTIVE), EARLIER, [Unload], id="what is withdrawn is unloaded"
        ),
        pytest.param(placement(withdraw=True), LOADED_ONLY, EARLIER, [Unload], id="also what has shown no status yet"),
        pytest.param(placement(withdraw=True), NOTHING, EARLIER, [Confirm], id="that it is gone is confirmed"),
        pytest.param(placement(withdraw=True), NOTHING, Memory(answered=7), [], id="and confirmed once"),
        pytest.param(None, seen(Active.ACTIVE), NEW, [Unload], id="what is not placed is unloaded"),
        pytest.param(None, NOTHING, EARLIER, [], id="nothing is nothing"),
    ],
)
def test_tasks(where: Placement | None, what: Seen, memory: Memory, expected: list[type[Task]]) -> None:
    assert [type(task) for task in tasks(where, what, memory, text_hash=TEXT)] == expected


def test_a_report_answers_the_placement_that_was_carried_out() -> None:
    state = report(MACHINE, UNIT, placement(revision=9), seen(Active.ACTIVE), DONE)
    assert state is not None
    assert (state.active, state.placement_revision, state.content_hash, state.since) == ("active", 7, "submitted", 3.0)


def test_a_withdrawn_unit_is_given_up_only_when_that_was_confirmed() -> None:
    withdrawn = placement(withdraw=True)
    assert report(MACHINE, UNIT, withdrawn, NOTHING, EARLIER) is None
    assert given_up(withdrawn, LOADED_ONLY, EARLIER) == EARLIER
    state = report(MACHINE, UNIT, withdrawn, NOTHING, given_up(withdrawn, NOTHING, EARLIER))
    assert state is not None
    assert (state.load, state.placement_revision) == ("not-found", 7)


def test_a_unit_that_is_still_stopping_is_not_given_up() -> None:
    state = report(MACHINE, UNIT, placement(withdraw=True), seen(Active.DEACTIVATING), EARLIER)
    assert state is not None
    assert (state.load, state.active, state.placement_revision) == ("loaded", "deactivating", 5)


def test_what_is_not_placed_and_not_there_has_no_report() -> None:
    assert report(MACHINE, UNIT, None, NOTHING, NEW) is None


def test_a_failure_is_reported_in_its_words() -> None:
    where = placement()
    state = report(MACHINE, UNIT, where, NOTHING, failed(where, NEW, "no such image"))
    assert state is not None
    assert (state.load, state.active, state.message, state.placement_revision) == (
        "error",
        "failed",
        "no such image",
        7,
    )


def test_a_failure_over_what_still_runs_does_not_hide_that() -> None:
    where = placement()
    state = report(MACHINE, UNIT, where, seen(Active.ACTIVE), failed(where, EARLIER, "line 3: no such directive"))
    assert state is not None
    assert (state.load, state.active, state.message) == ("error", "active", "line 3: no such directive")
