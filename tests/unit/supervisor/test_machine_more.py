"""The state machine: conditions, watchdogs, want of memory, failure modes, and which ends are followed by a restart."""

from __future__ import annotations

import signal
from signal import Signals
from typing import Any

import pytest

from inaetics.supervisor.machine import step
from inaetics.supervisor.values import (
    ConditionUnmet,
    ControlExited,
    Event,
    Exit,
    How,
    MainExited,
    OomKilled,
    RestartRequested,
    Result,
    StartRequested,
    State,
    Sub,
    TimedOut,
    WatchdogTimedOut,
)
from inaetics.units.service_model import Ends, FailureMode, OomPolicy, Restart, ServiceSpec, ServiceType
from tests.unit.supervisor.test_machine import BAD, DOWN, OK, SEGV, TERM, UP, Player, _commands, player

KILL9 = Exit(how=How.KILLED, status=9)

CAUSES: dict[str, list[Event]] = {
    "clean exit code": [MainExited(OK)],
    "clean signal": [MainExited(TERM)],
    "unclean exit code": [MainExited(BAD)],
    "unclean signal": [MainExited(KILL9)],
    "timeout": [TimedOut(), MainExited(TERM)],
    "watchdog": [WatchdogTimedOut(), MainExited(Exit(how=How.DUMPED, status=6))],
}
"""The exit causes of the table in systemd.service(5), with the clean ones told apart."""

RESTARTS = {
    "no": set[str](),
    "always": set(CAUSES),
    "on-success": {"clean exit code", "clean signal"},
    "on-failure": {"unclean exit code", "unclean signal", "timeout", "watchdog"},
    "on-abnormal": {"unclean signal", "timeout", "watchdog"},
    "on-abort": {"unclean signal"},
    "on-watchdog": {"watchdog"},
}
"""That table: for each setting the causes after which the service is started again."""


@pytest.mark.parametrize("cause", CAUSES)
@pytest.mark.parametrize("setting", list(Restart))
def test_the_table_of_restarts(setting: Restart, cause: str) -> None:
    it = player(UP, restart=setting, runtime_max_s=5.0)
    assert it.armed == 5
    it.play(*CAUSES[cause])
    assert (it.state.sub is Sub.AUTO_RESTART) is (cause in RESTARTS[setting]), it.state


@pytest.mark.parametrize("setting", list(Restart))
@pytest.mark.parametrize("cause", ["unclean exit code", "clean exit code"])
def test_ends_that_prevent_or_force_a_restart(setting: Restart, cause: str) -> None:
    codes = Ends(codes=frozenset({0, 1}))
    prevented = player(UP, restart=setting, restart_prevent=codes, restart_force=codes).play(*CAUSES[cause])
    assert prevented.state.sub in (Sub.DEAD, Sub.FAILED)
    forced = player(UP, restart=setting, restart_force=codes).play(*CAUSES[cause])
    assert forced.state.sub is Sub.AUTO_RESTART
    asked = player(UP, restart=setting, restart_force=codes).play(DOWN, MainExited(BAD))
    assert asked.state.sub in (Sub.DEAD, Sub.FAILED)


@pytest.mark.parametrize(
    ("ends", "end", "again"),
    [
        pytest.param(Ends(signals=frozenset({Signals.SIGSEGV})), SEGV, False, id="a signal that is named"),
        pytest.param(Ends(codes=frozenset({11})), SEGV, True, id="a status of the signal's number"),
        pytest.param(Ends(codes=frozenset({0})), Exit(how=How.UNKNOWN), True, id="an end that nobody saw"),
    ],
)
def test_which_ends_prevent(ends: Ends, end: Exit, again: bool) -> None:
    it = player(UP, restart=Restart.ALWAYS, restart_prevent=ends).play(MainExited(end))
    assert (it.state.sub is Sub.AUTO_RESTART) is again


def test_a_oneshot_may_name_signals_that_are_clean() -> None:
    clean = {"kind": ServiceType.ONESHOT, "success_signals": frozenset({Signals.SIGTERM})}
    assert player(UP, **clean).play(MainExited(TERM)).state.sub is Sub.DEAD
    unclean = {"kind": ServiceType.ONESHOT, "success_signals": frozenset[Signals]()}
    assert player(UP, **unclean).play(MainExited(TERM)).state.sub is Sub.FAILED


@pytest.mark.parametrize(
    ("status", "sub", "result"),
    [(0, Sub.RUNNING, Result.SUCCESS), (1, Sub.DEAD, Result.EXEC_CONDITION), (254, Sub.DEAD, Result.EXEC_CONDITION),
     (255, Sub.FAILED, Result.EXIT_CODE)],
)  # fmt: skip
def test_an_exec_condition_lets_go_on_leaves_out_or_fails(status: int, sub: Sub, result: Result) -> None:
    it = player(UP, exec_condition=_commands("ask"), exec_start_pre=_commands("pre"), restart=Restart.ALWAYS)
    assert (it.state.sub, it.spawned) == (Sub.CONDITION, ["ExecCondition0"])
    it.play(ControlExited(Exit(how=How.EXITED, status=status)))
    if status == 0:
        assert it.spawned[-1] == "ExecStartPre0"
        it.play(ControlExited(OK))
    elif status == 255:
        sub = Sub.AUTO_RESTART
    assert (it.state.sub, it.state.result) == (sub, result)


def test_a_condition_that_does_not_hold_is_no_failure_and_an_assertion_is() -> None:
    left_out = _unmet(is_assertion=False)
    assert (left_out.sub, left_out.result, left_out.left_out, left_out.message) == (Sub.DEAD, "success", True, "no")
    failed = _unmet(is_assertion=True)
    assert (failed.sub, failed.result) == (Sub.FAILED, Result.ASSERT)


def _unmet(*, is_assertion: bool) -> State:
    spec = ServiceSpec(name="a.service", exec_start=_commands("main"), restart=Restart.ALWAYS)
    begun, _ = step(spec, State(), StartRequested(), 0.0)
    return step(spec, begun, ConditionUnmet("no", is_assertion), 0.0)[0]


def test_a_silent_service_is_aborted_then_killed() -> None:
    it = player(UP, watchdog_s=3.0, watchdog_signal=Signals.SIGQUIT, timeout_abort_s=7.0).play(WatchdogTimedOut())
    assert (it.state.sub, it.state.result, it.armed) == (Sub.STOP_WATCHDOG, Result.WATCHDOG, 7)
    assert it.killed[-1].signal == signal.SIGQUIT
    it.play(TimedOut())
    assert (it.state.sub, it.killed[-1].signal, it.armed) == (Sub.STOP_SIGKILL, signal.SIGKILL, 20)
    assert it.play(MainExited(KILL9)).state.result is Result.WATCHDOG


def test_a_service_that_is_not_up_yet_may_be_silent() -> None:
    it = player(UP, kind=ServiceType.NOTIFY, watchdog_s=3.0).play(WatchdogTimedOut())
    assert it.state.sub is Sub.START


@pytest.mark.parametrize(
    ("policy", "sub"),
    [(OomPolicy.STOP, Sub.STOP), (OomPolicy.KILL, Sub.STOP_SIGKILL), (OomPolicy.CONTINUE, Sub.RUNNING)],
)
def test_want_of_memory(policy: OomPolicy, sub: Sub) -> None:
    it = player(UP, oom_policy=policy, exec_stop=_commands("stop")).play(OomKilled())
    assert it.state.sub is sub
    assert (it.state.result is Result.OOM_KILL) is (policy is not OomPolicy.CONTINUE)


def test_why_it_ended_counts_before_its_end() -> None:
    it = player(UP).play(OomKilled(), MainExited(KILL9))
    assert (it.state.sub, it.state.result, it.state.main_exit) == (Sub.FAILED, Result.OOM_KILL, KILL9)


def test_want_of_memory_while_stopping_gives_no_more_time() -> None:
    it = player(UP).play(DOWN)
    assert it.state.sub is Sub.STOP_SIGTERM
    assert it.play(OomKilled()).state.sub is Sub.STOP_SIGKILL


@pytest.mark.parametrize(
    ("mode", "sub"),
    [
        (FailureMode.TERMINATE, Sub.STOP_SIGTERM),
        (FailureMode.ABORT, Sub.STOP_WATCHDOG),
        (FailureMode.KILL, Sub.STOP_SIGKILL),
    ],
)
def test_how_what_took_too_long_is_ended(mode: FailureMode, sub: Sub) -> None:
    starting = player(UP, kind=ServiceType.NOTIFY, start_failure_mode=mode).play(TimedOut())
    assert (starting.state.sub, starting.state.result) == (sub, Result.TIMEOUT)
    stopping = player(UP, exec_stop=_commands("stop"), stop_failure_mode=mode).play(DOWN, TimedOut())
    assert stopping.state.sub is sub


def test_a_stop_that_takes_too_long_may_be_aborted_before_it_is_killed() -> None:
    it = player(UP, stop_failure_mode=FailureMode.ABORT).play(DOWN, TimedOut())
    assert it.state.sub is Sub.STOP_WATCHDOG
    assert it.play(TimedOut()).state.sub is Sub.STOP_SIGKILL


def _signals(it: Player) -> list[tuple[int, bool]]:
    return [(kill.signal, kill.hang_up) for kill in it.killed]


def test_which_signals_end_a_service() -> None:
    more: dict[str, Any] = {
        "kill_signal": Signals.SIGINT,
        "restart_kill_signal": Signals.SIGUSR1,
        "final_kill_signal": Signals.SIGQUIT,
        "send_sighup": True,
    }
    assert _signals(player(UP, **more).play(DOWN)) == [(signal.SIGINT, True)]
    assert _signals(player(UP, **more).play(RestartRequested())) == [(signal.SIGUSR1, True)]
    assert _signals(player(UP, **more).play(DOWN, TimedOut())) == [(signal.SIGINT, True), (signal.SIGQUIT, False)]


def test_a_unit_that_ran_for_long_enough_is_stopped_and_has_failed() -> None:
    it = player(UP, runtime_max_s=60.0)
    assert it.armed == 60
    it.play(TimedOut())
    assert (it.state.sub, it.state.result) == (Sub.STOP_SIGTERM, Result.TIMEOUT)
    assert "RuntimeMaxSec=" in (it.state.message or "")
    it.play(MainExited(TERM))
    assert it.state.sub is Sub.FAILED
