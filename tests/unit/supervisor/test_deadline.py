"""Losing touch: what a unit may do when, and that its state machine obeys whatever it was doing."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inaetics.supervisor.deadline import May, verdict
from inaetics.supervisor.machine import step
from inaetics.supervisor.phases import lose
from inaetics.supervisor.values import (
    OVER,
    Arm,
    ControlExited,
    Exit,
    GroupEmpty,
    How,
    Kill,
    LostTouch,
    MainExited,
    Result,
    State,
    StopRequested,
    Sub,
    TimedOut,
)
from inaetics.units.command import Command
from inaetics.units.service_model import KillMode, Restart, ServiceSpec
from tests.unit.supervisor.test_machine_properties import World, specs

SPEC = ServiceSpec(name="a.service", exec_start=(Command(argv=("/bin/x",)),), restart=Restart.ALWAYS)
RUNNING = State(sub=Sub.RUNNING, main=True)
ASKED, KILLED = LostTouch("out of touch", at_once=False), LostTouch("out of touch", at_once=True)


@pytest.mark.parametrize(
    ("now", "stop_s", "expected"),
    [
        pytest.param(8.9, 1.0, May.RUN, id="before its stop has to begin"),
        pytest.param(9.0, 1.0, May.STOP, id="from then on"),
        pytest.param(9.99, 1.0, May.STOP, id="until the deadline"),
        pytest.param(10.0, 1.0, May.DIE, id="at the deadline"),
        pytest.param(9.99, 0.0, May.RUN, id="a stop that takes no time"),
        pytest.param(0.0, math.inf, May.STOP, id="a stop that takes for ever begins at once"),
        pytest.param(99.0, math.inf, May.DIE, id="and ends at the deadline"),
    ],
)
def test_what_a_unit_may_do(now: float, stop_s: float, expected: May) -> None:
    assert verdict(now, 10.0, stop_s) is expected


def test_a_unit_that_waits_to_be_restarted_waits_no_more() -> None:
    state, _ = step(SPEC, State(sub=Sub.AUTO_RESTART, restarts=1), ASKED, 0.0)
    assert (state.sub, state.result) == (Sub.FAILED, Result.LOST_TOUCH)


def test_a_unit_that_is_over_stays_as_it_is() -> None:
    for sub in OVER:
        over = State(sub=sub, result=Result.EXIT_CODE, message="it broke")
        assert step(SPEC, over, KILLED, 0.0) == (over, ())


def test_a_stop_that_somebody_asked_for_stays_that() -> None:
    stopping, _ = step(SPEC, RUNNING, StopRequested(), 0.0)
    assert lose(stopping, "out of touch") == stopping


def test_a_restart_on_its_way_is_given_up() -> None:
    stopping = State(sub=Sub.STOP_SIGTERM, main=True, start_again=True, forbid_restart=True)
    state, _ = step(SPEC, stopping, ASKED, 0.0)
    assert (state.start_again, state.result) == (False, Result.LOST_TOUCH)


@pytest.mark.parametrize("event", [ASKED, KILLED], ids=["asked", "killed"])
def test_a_start_that_was_to_begin_anew_does_not(event: LostTouch) -> None:
    """An earlier supervisor was killed amid ExecStartPre; this one would run it again."""
    state, _ = step(SPEC, State(sub=Sub.FINAL_SIGTERM, begin_again=True), event, 0.0)
    state, actions = step(SPEC, state, GroupEmpty(), 0.0)
    assert (state.sub, state.result, actions) == (Sub.FAILED, Result.LOST_TOUCH, (Arm(None),))


@pytest.mark.parametrize("mode", KillMode)
def test_at_the_deadline_everybody_is_killed_whatever_the_file_says(mode: KillMode) -> None:
    spec = ServiceSpec(name="a.service", exec_start=SPEC.exec_start, kill_mode=mode, send_sigkill=False)
    _, actions = step(spec, RUNNING, KILLED, 0.0)
    assert Kill(9, main=True, control=True, group=True) in actions


@settings(max_examples=150, deadline=None)
@given(specs(), st.data(), st.booleans())
def test_whatever_it_does_it_comes_to_an_end_and_nothing_follows(
    spec: ServiceSpec, data: st.DataObject, at_once: bool
) -> None:
    """After touch was lost no command of a start runs (`asked_down` has the world check that), and the unit is over."""
    world = World(spec, data)
    for _ in range(data.draw(st.integers(1, 15))):
        world.happen(world.choose_one())
    was_over = world.state.sub in OVER
    asked_before = world.state.forbid_restart
    world.asked_down = True
    if at_once:
        world.gave_up = False
    world.happen(LostTouch("out of touch", at_once=at_once))
    for _ in range(60):
        if world.state.sub in OVER:
            break
        if world.control:
            world.control = False
            world.happen(ControlExited(Exit(how=How.KILLED, status=9)))
        elif world.main:
            world.main = world.orphans = False
            world.happen(MainExited(Exit(how=How.KILLED, status=9)))
        elif world.armed is not None and not world.orphans:
            world.armed = None
            world.happen(TimedOut())
        else:
            world.orphans = False
            world.happen(GroupEmpty())
    assert world.state.sub in OVER
    if not was_over and not asked_before:
        assert world.state.result is Result.LOST_TOUCH
