"""What a service does next: `step` takes its state and one event and returns the new state and what to do. Pure.

The transitions are those of systemd's service.c for Type=simple, exec, oneshot and notify. Two differ on purpose:
the final kill waits until no process of the unit is left (systemd gives up when the main process is gone), because
nothing started here may outlive its stop; and an end that nobody saw during ExecStartPre begins the start anew.

Invariant: outside dead, failed, running, exited and auto-restart a unit always waits for something that will come:
a live process, a Kill that was not answered, or an armed time.
"""

from __future__ import annotations

import signal
from dataclasses import replace

from inaetics.supervisor import policy
from inaetics.supervisor.phases import (
    LIST_OF,
    Step,
    arm,
    begin,
    commands_of,
    dead,
    is_ignored,
    kill,
    kill_late,
    lose,
    note,
    run_commands,
    run_main,
    settle,
    started,
)
from inaetics.supervisor.values import (
    FINAL_KILLING,
    KILLING,
    OVER,
    RESTING,
    STARTING,
    STOP_KILLING,
    STOPPING,
    WATCHED,
    Arm,
    Begun,
    Commands,
    ConditionUnmet,
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
    LostTouch,
    MainAnnounced,
    MainExited,
    MainSpawned,
    OomKilled,
    Ready,
    ReloadRequested,
    RestartRequested,
    Result,
    Resumed,
    Role,
    SpawnFailed,
    StartRequested,
    State,
    Stopping,
    StopRequested,
    Sub,
    TimedOut,
    WatchdogTimedOut,
)
from inaetics.units.service_model import FailureMode, OomPolicy, ServiceSpec, ServiceType

OUT_OF_MEMORY = "the kernel killed a process of it for want of memory (see MemoryMax=)"
_CONDITION_FAILS = 255
"""An ExecCondition= that exits so fails; with any lower status but 0 the start is left out."""


def step(spec: ServiceSpec, state: State, event: Event, now: float) -> Step:  # noqa: C901 - one line an event
    """Return the state after `event` and the actions to take, in order; `now` is a clock that never goes back.

    `spec` is what the present run was started with; at Begun, what was loaded last.
    """
    match event:
        case StartRequested():
            return _start(state)
        case StopRequested():
            return _stop(spec, replace(state, start_again=False, begin_again=False, forbid_restart=True))
        case RestartRequested():
            return _restart(spec, state)
        case LostTouch() if state.sub not in OVER:
            return _lost(spec, state, event)
        case ReloadRequested() if state.sub is Sub.RUNNING:
            return run_commands(spec, state, Commands.RELOAD, 0)
        case Begun():
            return _begun(spec, state, now)
        case ConditionUnmet():
            return _left_out(state, event)
        case MainSpawned() if state.sub is Sub.START and spec.type is ServiceType.SIMPLE:
            return started(spec, state)
        case Executed() if state.sub is Sub.START and spec.type is ServiceType.EXEC:
            return started(spec, state)
        case Ready() if state.sub is Sub.START and spec.type is ServiceType.NOTIFY:
            return started(spec, state)
        case SpawnFailed():
            return _spawn_failed(spec, state, event)
        case MainExited():
            return _main_exited(spec, state, event.exit)
        case ControlExited():
            return _control_exited(spec, state, event.exit)
        case MainAnnounced() if state.sub not in OVER:
            return replace(state, main=True), ()
        case Stopping() if state.sub is Sub.RUNNING:
            return replace(state, sub=Sub.STOP_SIGTERM), (arm(spec.timeout_stop_s),)
        case Extended() if state.sub in STARTING | STOPPING:
            return state, (arm(event.seconds),)
        case WatchdogTimedOut() if state.sub in WATCHED:
            silent = f"said nothing for {spec.watchdog_s:g} s (WatchdogSec=)"
            return kill(spec, note(state, Result.WATCHDOG, silent), Sub.STOP_WATCHDOG)
        case OomKilled() if state.sub not in RESTING and spec.oom_policy is not OomPolicy.CONTINUE:
            return _oom_killed(spec, note(state, Result.OOM_KILL, OUT_OF_MEMORY))
        case TimedOut():
            return _timed_out(spec, state)
        case KillSent() if not event.waiting:
            return _nothing_to_wait_for(spec, state)
        case GroupEmpty() if not state.main and not state.control:  # else their own ends come, with statuses
            return _group_empty(spec, state)
        case DependencyFailed() if state.sub in OVER:
            return replace(state, sub=Sub.FAILED, result=Result.DEPENDENCY, message=event.message), ()
        case Resumed():
            return _resume(spec, state)
        case _:
            return state, ()


# ---- up


def _start(state: State) -> Step:
    if state.sub in STOPPING:
        return replace(state, start_again=True), ()
    if state.sub not in OVER:
        return state, ()  # it is up, on its way, or comes by itself when RestartSec is over
    return begin(replace(state, restarts=0))


def _restart(spec: ServiceSpec, state: State) -> Step:
    if state.sub in OVER:
        return _start(state)
    return _stop(spec, replace(state, start_again=True, begin_again=False, forbid_restart=True))


def _begun(spec: ServiceSpec, state: State, now: float) -> Step:
    starts = policy.count_start(spec, state.starts, now)
    if starts is None:
        limit = f"start limit: {spec.start_limit_burst} starts within {spec.start_limit_interval_s:g} s"
        return replace(state, sub=Sub.FAILED, result=Result.START_LIMIT_HIT, message=limit), ()
    return run_commands(spec, replace(state, starts=starts), Commands.CONDITION, 0)


def _left_out(state: State, event: ConditionUnmet) -> Step:
    if event.is_assertion:
        return replace(state, sub=Sub.FAILED, result=Result.ASSERT, message=event.message), ()
    return replace(state, sub=Sub.DEAD, message=event.message, left_out=True), ()


# ---- down


def _stop(spec: ServiceSpec, state: State) -> Step:
    match state.sub:
        case Sub.AUTO_RESTART if state.start_again:
            return begin(replace(state, restarts=0))
        case Sub.AUTO_RESTART:
            return replace(state, sub=Sub.DEAD), (Arm(None),)
        case Sub.RUNNING | Sub.EXITED:
            return run_commands(spec, state, Commands.STOP, 0)
        case Sub.CONDITION | Sub.START_PRE | Sub.START | Sub.START_POST | Sub.RELOAD:
            return kill(spec, state, Sub.STOP_SIGTERM)
        case _:
            return state, ()


def _lost(spec: ServiceSpec, state: State, event: LostTouch) -> Step:
    """Stop; at once whatever KillMode= and SendSIGKILL= say, since the unit may be started elsewhere any moment."""
    state = lose(state, event.message)
    if state.sub is Sub.AUTO_RESTART:
        return replace(state, sub=Sub.FAILED), (Arm(None),)
    if event.at_once:
        everybody = Kill(signal.SIGKILL, main=True, control=True, group=True)
        return replace(state, sub=Sub.FINAL_SIGKILL), (arm(spec.timeout_stop_s), everybody)
    return _stop(spec, state)


def _nothing_to_wait_for(spec: ServiceSpec, state: State) -> Step:
    match state.sub:
        case Sub.STOP_SIGTERM | Sub.STOP_WATCHDOG if spec.send_sigkill:
            return kill(spec, state, Sub.STOP_SIGKILL)
        case Sub.FINAL_SIGTERM | Sub.FINAL_WATCHDOG if spec.send_sigkill:
            return kill(spec, state, Sub.FINAL_SIGKILL)
        case _:
            return _group_empty(spec, state)


def _group_empty(spec: ServiceSpec, state: State) -> Step:
    if state.sub in STOP_KILLING:
        return run_commands(spec, state, Commands.STOP_POST, 0)
    return dead(spec, state) if state.sub in FINAL_KILLING else (state, ())


def _oom_killed(spec: ServiceSpec, state: State) -> Step:
    """Stop, as OOMPolicy= says; what is stopping already is not given more time."""
    hard = spec.oom_policy is OomPolicy.KILL
    match state.sub:
        case Sub.STOP_WATCHDOG | Sub.STOP_SIGTERM:
            return kill(spec, state, Sub.STOP_SIGKILL)
        case Sub.STOP_POST | Sub.FINAL_WATCHDOG | Sub.FINAL_SIGTERM:
            return kill(spec, state, Sub.FINAL_SIGKILL)
        case Sub.STOP_SIGKILL | Sub.FINAL_SIGKILL:
            return state, ()
        case Sub.RUNNING | Sub.EXITED if not hard:
            return run_commands(spec, state, Commands.STOP, 0)
        case _:
            return kill(spec, state, Sub.STOP_SIGKILL if hard else Sub.STOP_SIGTERM)


# ---- what processes and clocks report


def _main_exited(spec: ServiceSpec, state: State, exit_: Exit) -> Step:
    oneshot = spec.type is ServiceType.ONESHOT
    result = policy.main_result(spec, exit_)
    if is_ignored(spec, Commands.START, state.index if oneshot and state.sub is Sub.START else 0):
        result = Result.SUCCESS
    state = _blame(replace(state, main=False, main_exit=exit_), result, policy.why("the main process", exit_))
    if state.sub is Sub.START and exit_.how is How.UNKNOWN and not oneshot:
        state = replace(state, begin_again=not state.forbid_restart)
    match state.sub:
        case Sub.START if oneshot and result is Result.SUCCESS:
            return run_main(spec, state, state.index + 1)
        case Sub.START if spec.type is ServiceType.NOTIFY and result is Result.SUCCESS:
            early = "the main process ended before it said READY=1"
            return kill(spec, note(state, Result.PROTOCOL, early), Sub.STOP_SIGTERM)
        case Sub.START if spec.type is ServiceType.EXEC and result is Result.SUCCESS:
            return started(spec, state)
        case Sub.START:
            return kill(spec, state, Sub.STOP_SIGTERM)
        case Sub.RUNNING:
            return settle(spec, state)
        case sub if sub in STOP_KILLING and not state.control:
            return run_commands(spec, state, Commands.STOP_POST, 0)
        case _:
            return state, ()


def _control_exited(spec: ServiceSpec, state: State, exit_: Exit) -> Step:
    state = replace(state, control=False)
    if state.sub in KILLING:  # its list was given up when the kill was decided
        stop = state.sub in STOP_KILLING and not state.main
        return run_commands(spec, state, Commands.STOP_POST, 0) if stop else (state, ())
    commands = LIST_OF[state.sub]
    result = policy.command_result(exit_)
    if is_ignored(spec, commands, state.index):
        result = Result.SUCCESS
    if result is Result.SUCCESS:
        return run_commands(spec, state, commands, state.index + 1)
    return _control_failed(spec, state, commands, exit_, result)


def _control_failed(spec: ServiceSpec, state: State, commands: Commands, exit_: Exit, result: Result) -> Step:
    if commands is Commands.RELOAD:
        return settle(spec, state)
    if commands is Commands.CONDITION and exit_.how is How.EXITED and exit_.status < _CONDITION_FAILS:
        result = Result.EXEC_CONDITION
    if commands in (Commands.CONDITION, Commands.START_PRE) and exit_.how is How.UNKNOWN and not state.forbid_restart:
        state = replace(state, begin_again=True)
    argv = commands_of(spec, commands)[state.index].argv
    state = _blame(state, result, policy.why(f"{commands}={argv[0]}", exit_))
    after = Sub.FINAL_SIGTERM if commands is Commands.STOP_POST else Sub.STOP_SIGTERM
    return kill(spec, state, after)


def _spawn_failed(spec: ServiceSpec, state: State, event: SpawnFailed) -> Step:
    state = replace(state, main=state.main and event.role is not Role.MAIN)
    state = replace(state, control=state.control and event.role is not Role.CONTROL)
    if state.sub is Sub.RELOAD:
        return settle(spec, state)
    after = Sub.FINAL_SIGTERM if state.sub is Sub.STOP_POST else Sub.STOP_SIGTERM
    return kill(spec, note(state, Result.RESOURCES, event.message), after)


def _timed_out(spec: ServiceSpec, state: State) -> Step:  # noqa: C901 - one line a state
    match state.sub:
        case Sub.AUTO_RESTART:
            return begin(state)
        case Sub.CONDITION | Sub.START_PRE | Sub.START | Sub.START_POST:
            late = _late(state, f"start was not done within {spec.timeout_start_s:g} s")
            return kill_late(spec, late, spec.start_failure_mode, final=False)
        case Sub.RUNNING:
            late = _late(state, f"ran for {spec.runtime_max_s:g} s, which is all that RuntimeMaxSec= grants")
            return run_commands(spec, late, Commands.STOP, 0)
        case Sub.RELOAD:
            return state, (Kill(signal.SIGKILL, main=False, control=True, group=False),)
        case Sub.STOP:
            return kill_late(spec, _stop_late(spec, state), spec.stop_failure_mode, final=False)
        case Sub.STOP_POST:
            return kill_late(spec, _stop_late(spec, state), spec.stop_failure_mode, final=True)
        case Sub.STOP_SIGTERM if spec.stop_failure_mode is FailureMode.ABORT:
            return kill(spec, _stop_late(spec, state), Sub.STOP_WATCHDOG)
        case Sub.FINAL_SIGTERM if spec.stop_failure_mode is FailureMode.ABORT:
            return kill(spec, _stop_late(spec, state), Sub.FINAL_WATCHDOG)
        case Sub.STOP_SIGTERM | Sub.STOP_WATCHDOG if spec.send_sigkill:
            return kill(spec, _stop_late(spec, state), Sub.STOP_SIGKILL)
        case Sub.FINAL_SIGTERM | Sub.FINAL_WATCHDOG if spec.send_sigkill:
            return kill(spec, _stop_late(spec, state), Sub.FINAL_SIGKILL)
        case sub if sub in STOP_KILLING:
            given_up = replace(_stop_late(spec, state), control=False)
            return run_commands(spec, given_up, Commands.STOP_POST, 0)
        case sub if sub in FINAL_KILLING:
            return dead(spec, _stop_late(spec, state))
        case _:
            return state, ()


def _resume(spec: ServiceSpec, state: State) -> Step:
    """Take up what the supervisor was doing when it was killed: what cannot have been seen is done again."""
    if state.sub in KILLING:
        return kill(spec, state, state.sub)
    if state.sub is Sub.START and state.main and spec.type in (ServiceType.SIMPLE, ServiceType.EXEC):
        return started(spec, state)  # a child that was let go has run its program by now
    return state, ()


# ---- small words


def _blame(state: State, result: Result, message: str) -> State:
    """Remember a process's bad end; one that nobody saw is no fault of a stop that was asked for."""
    if result is Result.UNKNOWN and state.forbid_restart and state.sub in STOPPING:
        return state
    return note(state, result, message)


def _late(state: State, message: str) -> State:
    return note(state, Result.TIMEOUT, message)


def _stop_late(spec: ServiceSpec, state: State) -> State:
    return _late(state, f"did not stop within {spec.timeout_stop_s:g} s")
