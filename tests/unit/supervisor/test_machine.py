"""The state machine: each case is one way through a service's life, told as events and what is done about them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from inaetics.supervisor.machine import step
from inaetics.supervisor.values import (
    Action,
    Arm,
    Begin,
    Begun,
    ControlExited,
    DependencyFailed,
    Event,
    Executed,
    Exit,
    Extended,
    GroupEmpty,
    How,
    Kill,
    KillSent,
    MainAnnounced,
    MainExited,
    MainSpawned,
    Ready,
    ReloadRequested,
    RestartRequested,
    Result,
    Resumed,
    Role,
    Spawn,
    SpawnFailed,
    StartRequested,
    State,
    Stopping,
    StopRequested,
    Sub,
    TimedOut,
)
from inaetics.units.command import Command
from inaetics.units.service_model import KillMode, Restart, ServiceSpec, ServiceType

OK = Exit(how=How.EXITED)
BAD = Exit(how=How.EXITED, status=1)
TERM = Exit(how=How.KILLED, status=15)
SEGV = Exit(how=How.KILLED, status=11)
UNSEEN = Exit(how=How.UNKNOWN)


def _commands(*words: str) -> tuple[Command, ...]:
    return tuple(Command(argv=(f"/bin/{word.lstrip('-')}",), ignore_failure=word.startswith("-")) for word in words)


def spec(kind: ServiceType = ServiceType.SIMPLE, **more: Any) -> ServiceSpec:
    """A service with one command, 10 s to start and 20 s to stop."""
    base = ServiceSpec(name="a.service", type=kind, exec_start=_commands("main"), timeout_start_s=10, timeout_stop_s=20)
    return replace(base, **more)


@dataclass
class Player:
    """Plays the part of the shell: answers Begin and Spawn, and Kill as `group` tells; notes what was done."""

    spec: ServiceSpec
    state: State = field(default_factory=State)
    now: float = 0.0
    armed: float | None = None
    spawned: list[str] = field(default_factory=list)
    killed: list[Kill] = field(default_factory=list)
    orphans: int = 0

    def play(self, *events: Event) -> Player:
        """Let these happen one after the other."""
        for event in events:
            self._one(event)
        return self

    def _one(self, event: Event) -> None:
        if isinstance(event, TimedOut):
            self.armed = None
        self.state, actions = step(self.spec, self.state, event, self.now)
        for action in actions:
            self._do(action)

    def _do(self, action: Action) -> None:
        match action:
            case Begin():
                self._one(Begun())
            case Arm(seconds, _):
                self.armed = seconds
            case Spawn(role, commands, index):
                self.spawned.append(f"{commands}{index}")
                if role is Role.MAIN:
                    self._one(MainSpawned())
            case Kill():
                self.killed.append(action)
                reached = (action.main and self.state.main) or (action.control and self.state.control)
                self._one(KillSent(bool(reached or (action.group and self.orphans))))


def player(*events: Event, **more: Any) -> Player:
    """Return a player that went through `events`."""
    kind = more.pop("kind", ServiceType.SIMPLE)
    assert isinstance(kind, ServiceType)
    return Player(spec(kind, **more)).play(*events)


UP = StartRequested()
DOWN = StopRequested()


def test_simple_is_running_once_its_process_was_made() -> None:
    it = player(UP)
    assert (it.state.sub, it.spawned, it.armed) == (Sub.RUNNING, ["ExecStart0"], None)


def test_exec_waits_for_the_program_to_run() -> None:
    it = player(UP, kind=ServiceType.EXEC)
    assert (it.state.sub, it.armed) == (Sub.START, 10)
    assert it.play(Executed()).state.sub is Sub.RUNNING


def test_notify_waits_for_ready() -> None:
    it = player(UP, kind=ServiceType.NOTIFY)
    assert (it.state.sub, it.armed) == (Sub.START, 10)
    assert it.play(Ready()).state.sub is Sub.RUNNING


def test_oneshot_runs_all_commands_one_after_the_other() -> None:
    it = player(UP, kind=ServiceType.ONESHOT, exec_start=_commands("one", "two"))
    assert it.spawned == ["ExecStart0"]
    it.play(MainExited(OK))
    assert it.spawned == ["ExecStart0", "ExecStart1"]
    assert it.play(MainExited(OK)).state.sub is Sub.DEAD


def test_oneshot_with_remain_after_exit_is_active_without_a_process() -> None:
    it = player(UP, MainExited(OK), kind=ServiceType.ONESHOT, remain_after_exit=True)
    assert it.state.sub is Sub.EXITED
    assert it.play(DOWN).state.sub is Sub.DEAD


def test_lists_run_in_order_around_the_main_process() -> None:
    before = {"exec_start_pre": _commands("a", "b"), "exec_start_post": _commands("c")}
    after = {"exec_stop": _commands("d"), "exec_stop_post": _commands("e")}
    it = player(UP, **before, **after)
    assert it.play(ControlExited(OK), ControlExited(OK)).state.sub is Sub.START_POST
    assert it.play(ControlExited(OK)).state.sub is Sub.RUNNING
    it.play(DOWN, ControlExited(OK), MainExited(TERM), ControlExited(OK))
    assert it.state.sub is Sub.DEAD
    order = ["ExecStartPre0", "ExecStartPre1", "ExecStart0", "ExecStartPost0", "ExecStop0", "ExecStopPost0"]
    assert it.spawned == order


PRE = {"exec_start_pre": _commands("x")}
STOP = {"exec_stop": _commands("y")}
POST = {"exec_start_post": _commands("x"), **STOP}


@pytest.mark.parametrize(
    ("lists", "events", "ended", "never"),
    [
        pytest.param(PRE, (UP, ControlExited(BAD)), Result.EXIT_CODE, "ExecStart0", id="start-pre"),
        pytest.param(POST, (UP, ControlExited(BAD), MainExited(TERM)), Result.EXIT_CODE, "ExecStop0", id="start-post"),
        pytest.param(STOP, (UP, MainExited(BAD)), Result.EXIT_CODE, "ExecStop0", id="main"),
        pytest.param({}, (UP, MainExited(SEGV)), Result.SIGNAL, "", id="signal"),
        pytest.param({}, (UP, MainExited(UNSEEN)), Result.UNKNOWN, "", id="unseen"),
        pytest.param(STOP, (UP, DOWN, ControlExited(BAD), MainExited(TERM)), Result.EXIT_CODE, "", id="stop"),
        pytest.param({}, (UP, SpawnFailed(Role.MAIN, "no")), Result.RESOURCES, "", id="no process"),
        pytest.param({}, (DependencyFailed("it requires b"),), Result.DEPENDENCY, "ExecStart0", id="dependency"),
    ],
)
def test_a_failure_ends_in_failed_with_its_result(
    lists: dict[str, Any], events: tuple[Event, ...], ended: Result, never: str
) -> None:
    it = player(*events, exec_stop_post=_commands("post"), **lists)
    if it.state.sub is Sub.STOP_POST:
        it.play(ControlExited(OK))
    assert (it.state.sub, it.state.result) == (Sub.FAILED, ended)
    assert it.state.message
    assert never not in it.spawned


def test_a_minus_ignores_the_failure_of_its_command_only() -> None:
    it = player(UP, ControlExited(BAD), exec_start_pre=_commands("-a", "b"))
    assert it.state.sub is Sub.START_PRE
    assert it.play(ControlExited(BAD)).state.result is Result.EXIT_CODE


def test_a_minus_before_the_main_command_makes_any_end_a_success() -> None:
    it = player(UP, MainExited(SEGV), exec_start=_commands("-main"))
    assert (it.state.sub, it.state.result) == (Sub.DEAD, Result.SUCCESS)


def test_a_notify_service_that_ends_well_without_ready_broke_the_protocol() -> None:
    it = player(UP, MainExited(OK), kind=ServiceType.NOTIFY)
    assert (it.state.sub, it.state.result) == (Sub.FAILED, Result.PROTOCOL)


def test_another_main_process_announced_before_the_first_ends_is_the_service() -> None:
    it = player(UP, MainAnnounced(), Ready(), kind=ServiceType.NOTIFY)
    assert it.state.sub is Sub.RUNNING
    assert it.play(MainExited(OK)).state.sub is Sub.DEAD


def test_stopping_by_itself_has_the_time_of_a_stop_and_no_signal() -> None:
    it = player(UP, Stopping())
    assert (it.state.sub, it.armed, it.killed) == (Sub.STOP_SIGTERM, 20, [])
    assert it.play(MainExited(OK)).state.sub is Sub.DEAD


def test_more_time_is_given_only_where_time_runs() -> None:
    assert player(UP, Extended(77), kind=ServiceType.NOTIFY).armed == 77
    assert player(UP, Extended(77)).armed is None


@pytest.mark.parametrize(
    ("mode", "first", "second"),
    [
        pytest.param(KillMode.CONTROL_GROUP, (15, True), (9, True), id="control-group"),
        pytest.param(KillMode.MIXED, (15, False), (9, True), id="mixed"),
        pytest.param(KillMode.PROCESS, (15, False), (9, False), id="process"),
    ],
)
def test_the_kill_mode_says_who_gets_what(mode: KillMode, first: tuple[int, bool], second: tuple[int, bool]) -> None:
    it = player(UP, DOWN, kill_mode=mode)
    assert (it.state.sub, it.armed) == (Sub.STOP_SIGTERM, 20)
    it.play(TimedOut())
    assert [(kill.signal, kill.group) for kill in it.killed] == [first, second]
    assert (it.state.sub, it.state.result) == (Sub.STOP_SIGKILL, Result.TIMEOUT)


def test_kill_mode_none_kills_nobody_and_is_done() -> None:
    it = player(UP, DOWN, kill_mode=KillMode.NONE)
    assert it.state.sub is Sub.DEAD
    assert not any(kill.main or kill.control or kill.group for kill in it.killed)


def test_without_send_sigkill_time_just_runs_out() -> None:
    it = player(UP, DOWN, TimedOut(), send_sigkill=False)
    assert 9 not in [kill.signal for kill in it.killed]
    assert it.state.sub is Sub.FINAL_SIGTERM


def test_what_outlives_the_main_process_is_killed_before_the_unit_is_over() -> None:
    it = player(UP)
    it.orphans = 1
    it.play(MainExited(OK))
    assert it.state.sub is Sub.STOP_SIGTERM
    it.play(TimedOut())
    assert (it.state.sub, it.killed[-1].signal, it.killed[-1].group) == (Sub.STOP_SIGKILL, 9, True)
    it.orphans = 0
    assert it.play(GroupEmpty()).state.sub is Sub.FAILED


@pytest.mark.parametrize("ends", [(MainExited(TERM), ControlExited(TERM)), (ControlExited(TERM), MainExited(TERM))])
def test_exec_stop_post_waits_for_the_main_and_the_control_process(ends: tuple[Event, Event]) -> None:
    it = player(UP, DOWN, exec_start_post=_commands("x"), exec_stop_post=_commands("y"))
    assert it.play(ends[0]).state.sub is Sub.STOP_SIGTERM
    assert it.play(ends[1]).state.sub is Sub.STOP_POST


def test_in_the_final_kill_the_end_of_one_process_is_not_the_end_of_all() -> None:
    it = player(UP, DOWN)
    it.orphans = 1
    it.play(MainExited(TERM))
    assert it.state.sub is Sub.FINAL_SIGTERM
    it.play(MainExited(TERM), ControlExited(OK))
    assert it.state.sub is Sub.FINAL_SIGTERM
    assert it.play(GroupEmpty()).state.sub is Sub.DEAD


@pytest.mark.parametrize(
    ("restart", "exit_", "again"),
    [
        (restart, exit_, again)
        for restart, row in {
            #                     clean, code, signal, unseen
            Restart.NO: (False, False, False, False),
            Restart.ALWAYS: (True, True, True, True),
            Restart.ON_SUCCESS: (True, False, False, False),
            Restart.ON_FAILURE: (False, True, True, True),
            Restart.ON_ABNORMAL: (False, False, True, True),
            Restart.ON_ABORT: (False, False, True, True),
        }.items()
        for exit_, again in zip((OK, BAD, SEGV, UNSEEN), row, strict=True)
    ],
)
def test_restart_is_the_table_of_the_manual(restart: Restart, exit_: Exit, again: bool) -> None:
    it = player(UP, MainExited(exit_), restart=restart, restart_s=3)
    assert (it.state.sub is Sub.AUTO_RESTART) is again
    assert it.armed == (3 if again else None)


def test_an_automatic_restart_comes_when_its_time_is_over() -> None:
    it = player(UP, MainExited(BAD), TimedOut(), restart=Restart.ALWAYS)
    assert (it.state.sub, it.state.restarts, it.state.result) == (Sub.RUNNING, 1, Result.SUCCESS)


def test_a_stop_that_was_asked_for_is_never_undone() -> None:
    it = player(UP, DOWN, MainExited(SEGV), restart=Restart.ALWAYS)
    assert it.state.sub is Sub.FAILED
    it = player(UP, MainExited(BAD), DOWN, restart=Restart.ALWAYS)
    assert (it.state.sub, it.armed) == (Sub.DEAD, None)


def test_a_start_while_stopping_waits_and_a_stop_takes_it_back() -> None:
    assert player(UP, DOWN, UP, MainExited(TERM)).state.sub is Sub.RUNNING
    assert player(UP, DOWN, UP, DOWN, MainExited(TERM)).state.sub is Sub.DEAD


def test_restart_stops_and_starts() -> None:
    it = player(UP, RestartRequested())
    assert it.state.sub is Sub.STOP_SIGTERM
    assert it.play(MainExited(TERM)).state.sub is Sub.RUNNING
    assert player(RestartRequested()).state.sub is Sub.RUNNING
    assert player(UP, MainExited(BAD), RestartRequested(), restart=Restart.ALWAYS).state.sub is Sub.RUNNING


def test_the_start_limit_gives_up_and_time_heals_it() -> None:
    it = player(restart=Restart.ALWAYS, start_limit_burst=2, start_limit_interval_s=10.0)
    it.play(UP, MainExited(BAD), TimedOut(), MainExited(BAD), TimedOut())
    assert (it.state.sub, it.state.result) == (Sub.FAILED, Result.START_LIMIT_HIT)
    assert it.play(UP).state.sub is Sub.FAILED
    it.now = 10.5
    assert it.play(UP).state.sub is Sub.RUNNING


def test_no_start_limit_without_burst_or_interval() -> None:
    for more in ({"start_limit_burst": 0}, {"start_limit_interval_s": 0.0}):
        it = player(UP, restart=Restart.ALWAYS, **more)
        for _ in range(20):
            it.play(MainExited(BAD), TimedOut())
        assert it.state.sub is Sub.RUNNING


def test_reload_keeps_the_main_process_whatever_becomes_of_the_command() -> None:
    for exit_ in (OK, BAD):
        it = player(UP, ReloadRequested(), exec_reload=_commands("r"))
        assert it.state.sub is Sub.RELOAD
        assert (it.play(ControlExited(exit_)).state.sub, it.state.main) == (Sub.RUNNING, True)
    it = player(UP, ReloadRequested(), TimedOut(), exec_reload=_commands("r"))
    assert (it.state.sub, it.killed[-1].main) == (Sub.RELOAD, False)


def test_resumed_kills_again_what_may_not_have_been_killed() -> None:
    it = player(UP, DOWN, Resumed())
    assert [kill.signal for kill in it.killed] == [15, 15]
    assert player(UP, Resumed()).killed == []


def test_an_unseen_end_before_execstart_begins_the_start_anew_whatever_restart_says() -> None:
    it = player(UP, ControlExited(UNSEEN), exec_start_pre=_commands("x"))
    assert it.state.sub is Sub.AUTO_RESTART
    assert player(UP, MainExited(UNSEEN), kind=ServiceType.NOTIFY).state.sub is Sub.AUTO_RESTART
    assert player(UP, MainExited(UNSEEN), kind=ServiceType.ONESHOT).state.sub is Sub.FAILED
    assert player(UP, DOWN, ControlExited(UNSEEN), exec_start_pre=_commands("x")).state.sub is Sub.DEAD


def test_an_unseen_end_is_no_fault_of_a_stop_that_was_asked_for() -> None:
    assert player(UP, DOWN, MainExited(UNSEEN)).state.sub is Sub.DEAD
    assert player(UP, DOWN, ControlExited(UNSEEN), MainExited(UNSEEN), exec_stop=_commands("x")).state.sub is Sub.DEAD


@pytest.mark.parametrize("event", [UP, Ready(), Executed(), Resumed(), Extended(3), MainSpawned(), GroupEmpty()])
def test_what_means_nothing_to_a_running_service_changes_nothing(event: Event) -> None:
    it = player(UP)
    before, spawned = it.state, list(it.spawned)
    it.play(event)
    assert (it.state, it.spawned, it.killed) == (before, spawned, [])
