"""The phases of a service's life: what entering each of them means. Pure; `machine` decides which one is next.

Every function takes the state before and returns the state after and what is to be done.
"""

from __future__ import annotations

import math
from dataclasses import replace

from inaetics.supervisor import policy
from inaetics.supervisor.values import (
    OVER,
    STOPPING,
    Action,
    Arm,
    Begin,
    Commands,
    Kill,
    Result,
    Role,
    Spawn,
    State,
    Sub,
)
from inaetics.units.command import Command
from inaetics.units.service_model import FailureMode, KillMode, ServiceSpec

Step = tuple[State, tuple[Action, ...]]

_SUB_OF = {
    Commands.CONDITION: Sub.CONDITION,
    Commands.START_PRE: Sub.START_PRE,
    Commands.START_POST: Sub.START_POST,
    Commands.RELOAD: Sub.RELOAD,
    Commands.STOP: Sub.STOP,
    Commands.STOP_POST: Sub.STOP_POST,
}
LIST_OF = {sub: commands for commands, sub in _SUB_OF.items()}
"""Which list a state runs."""


def begin(state: State) -> Step:
    """Ask for a new run; what counts for the start limit is carried over."""
    return State(sub=Sub.START_PRE, starts=state.starts, restarts=state.restarts), (Arm(None), Begin())


def run_commands(spec: ServiceSpec, state: State, commands: Commands, index: int) -> Step:
    """Run command `index` of a list of control commands, or go on to what follows the list."""
    if index >= len(commands_of(spec, commands)):
        return _after(spec, state, commands)
    state = replace(state, sub=_SUB_OF[commands], index=index, control=True)
    starting = commands in (Commands.CONDITION, Commands.START_PRE, Commands.START_POST, Commands.RELOAD)
    timeout = spec.timeout_start_s if starting else spec.timeout_stop_s
    return state, (arm(timeout), Spawn(Role.CONTROL, commands, index))


def _after(spec: ServiceSpec, state: State, commands: Commands) -> Step:
    match commands:
        case Commands.CONDITION:
            return run_commands(spec, state, Commands.START_PRE, 0)
        case Commands.START_PRE:
            return run_main(spec, replace(state, sub=Sub.START), 0)
        case Commands.START_POST | Commands.RELOAD:
            return settle(spec, state)
        case Commands.STOP:
            return kill(spec, state, Sub.STOP_SIGTERM)
        case Commands.STOP_POST:
            return kill(spec, state, Sub.FINAL_SIGTERM)
        case Commands.START:
            return started(spec, state)


def run_main(spec: ServiceSpec, state: State, index: int) -> Step:
    """Run the main command `index`; past the last one of a oneshot service, the start is done."""
    if index >= len(spec.exec_start):
        return started(spec, state)
    state = replace(state, sub=Sub.START, index=index, main=True)
    return state, (arm(spec.timeout_start_s), Spawn(Role.MAIN, Commands.START, index))


def started(spec: ServiceSpec, state: State) -> Step:
    """The main process is as far as Type= asks: go on with ExecStartPost."""
    return run_commands(spec, replace(state, sub=Sub.START_POST), Commands.START_POST, 0)


def settle(spec: ServiceSpec, state: State) -> Step:
    """Settle in the state that fits what lives: running, exited, or on the way down."""
    if state.result is not Result.SUCCESS:
        return kill(spec, state, Sub.STOP_SIGTERM)
    if state.main:
        return replace(state, sub=Sub.RUNNING), (replace(arm(spec.runtime_max_s), since_up=True),)
    if spec.remain_after_exit:
        return replace(state, sub=Sub.EXITED), (Arm(None),)
    return run_commands(spec, state, Commands.STOP, 0)


def kill(spec: ServiceSpec, state: State, sub: Sub) -> Step:
    """Enter one of the killing states: the signal that belongs to it, to those KillMode= names."""
    final = sub in (Sub.STOP_SIGKILL, Sub.FINAL_SIGKILL)
    anyone = spec.kill_mode is not KillMode.NONE
    action = Kill(
        _signal(spec, state, sub),
        main=anyone,
        control=anyone,
        group=spec.kill_mode is KillMode.CONTROL_GROUP or (spec.kill_mode is KillMode.MIXED and final),
        hang_up=spec.send_sighup and sub in (Sub.STOP_SIGTERM, Sub.FINAL_SIGTERM),
    )
    abort_s = spec.timeout_abort_s if sub in (Sub.STOP_WATCHDOG, Sub.FINAL_WATCHDOG) else None
    return replace(state, sub=sub), (arm(spec.timeout_stop_s if abort_s is None else abort_s), action)


def _signal(spec: ServiceSpec, state: State, sub: Sub) -> int:
    match sub:
        case Sub.STOP_SIGKILL | Sub.FINAL_SIGKILL:
            return spec.final_kill_signal
        case Sub.STOP_WATCHDOG | Sub.FINAL_WATCHDOG:
            return spec.watchdog_signal
        case Sub.STOP_SIGTERM if state.start_again and spec.restart_kill_signal is not None:
            return spec.restart_kill_signal
        case _:
            return spec.kill_signal


def kill_late(spec: ServiceSpec, state: State, mode: FailureMode, *, final: bool) -> Step:
    """End what took too long, as the failure mode wants it."""
    match mode:
        case FailureMode.TERMINATE:
            return kill(spec, state, Sub.FINAL_SIGTERM if final else Sub.STOP_SIGTERM)
        case FailureMode.ABORT:
            return kill(spec, state, Sub.FINAL_WATCHDOG if final else Sub.STOP_WATCHDOG)
        case FailureMode.KILL:
            return kill(spec, state, Sub.FINAL_SIGKILL if final else Sub.STOP_SIGKILL)


def dead(spec: ServiceSpec, state: State) -> Step:
    """The run is over: stay dead or failed, wait for the automatic restart, or start at once when one waits."""
    sub = Sub.DEAD if state.result in (Result.SUCCESS, Result.EXEC_CONDITION) else Sub.FAILED
    over = replace(state, sub=sub, index=0, main=False, control=False)
    if state.start_again:
        return begin(replace(over, restarts=0))
    if state.begin_again or policy.shall_restart(spec, state):
        waiting = replace(over, sub=Sub.AUTO_RESTART, begin_again=False, restarts=state.restarts + 1)
        return waiting, (arm(spec.restart_s),)
    return over, (Arm(None),)


def commands_of(spec: ServiceSpec, commands: Commands) -> tuple[Command, ...]:
    """Return one of the lists."""
    match commands:
        case Commands.CONDITION:
            return spec.exec_condition
        case Commands.START_PRE:
            return spec.exec_start_pre
        case Commands.START:
            return spec.exec_start
        case Commands.START_POST:
            return spec.exec_start_post
        case Commands.RELOAD:
            return spec.exec_reload
        case Commands.STOP:
            return spec.exec_stop
        case Commands.STOP_POST:
            return spec.exec_stop_post


def is_ignored(spec: ServiceSpec, commands: Commands, index: int) -> bool:
    """Return whether the command bears the prefix `-`."""
    listed = commands_of(spec, commands)
    return index < len(listed) and listed[index].ignore_failure


def lose(state: State, message: str) -> State:
    """Let this run end for want of touch with the fleet, and nothing follow it; a stop already asked for stays that."""
    asked = state.sub in STOPPING and state.forbid_restart and not state.start_again
    if asked or state.sub in OVER:
        return state
    calm = replace(state, start_again=False, begin_again=False, forbid_restart=True)
    return replace(calm, result=Result.LOST_TOUCH, message=message)


def note(state: State, result: Result, message: str) -> State:
    """Remember the first thing that went wrong."""
    if result is Result.SUCCESS or state.result is not Result.SUCCESS:
        return state
    return replace(state, result=result, message=message)


def arm(seconds: float) -> Arm:
    """Return an Arm; an endless time is none."""
    return Arm(None if math.isinf(seconds) else seconds)
