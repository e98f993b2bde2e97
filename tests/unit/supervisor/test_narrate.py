"""What a person reads in the journal about a unit."""

from __future__ import annotations

import pytest

from inaetics.supervisor.narrate import narrate
from inaetics.supervisor.values import (
    ControlExited,
    Event,
    Exit,
    How,
    MainExited,
    Result,
    StartRequested,
    State,
    StopRequested,
    Sub,
    TimedOut,
)
from inaetics.units.service_model import ServiceSpec

SPEC = ServiceSpec(name="a.service", restart_s=5)
RUNNING = State(sub=Sub.RUNNING, main=True)
FAILED = State(sub=Sub.FAILED, result=Result.TIMEOUT, message="did not stop within 20 s")


@pytest.mark.parametrize(
    ("old", "event", "new", "lines"),
    [
        pytest.param(State(), StartRequested(), State(sub=Sub.START_PRE), ["starting"], id="start"),
        pytest.param(State(sub=Sub.START), StartRequested(), RUNNING, ["started"], id="started"),
        pytest.param(RUNNING, StopRequested(), State(sub=Sub.STOP_SIGTERM), ["asked to stop"], id="stop"),
        pytest.param(
            State(sub=Sub.FINAL_SIGTERM), TimedOut(), State(forbid_restart=True), ["stopped"], id="stopped as asked"
        ),
        pytest.param(State(sub=Sub.FINAL_SIGTERM), TimedOut(), State(), ["ended"], id="ended by itself"),
        pytest.param(
            RUNNING,
            MainExited(Exit(how=How.EXITED, status=3)),
            State(sub=Sub.AUTO_RESTART, restarts=2),
            ["the main process exited with status 3", "restarting in 5 s (restart 2)"],
            id="restart",
        ),
        pytest.param(
            State(sub=Sub.STOP_SIGTERM), TimedOut(), FAILED, ["did not stop within 20 s", "failed (timeout)"], id="late"
        ),
        pytest.param(
            State(sub=Sub.START_PRE),
            ControlExited(Exit(how=How.KILLED, status=9)),
            State(sub=Sub.START),
            ["a command of start-pre was killed by SIGKILL"],
            id="an ignored failure is told",
        ),
        pytest.param(State(sub=Sub.RELOAD), ControlExited(Exit(how=How.EXITED)), RUNNING, ["reloaded"], id="reload"),
        pytest.param(RUNNING, StartRequested(), RUNNING, [], id="nothing new"),
    ],
)
def test_a_transition_is_told(old: State, event: Event, new: State, lines: list[str]) -> None:
    assert narrate(SPEC, old, event, new) == lines
