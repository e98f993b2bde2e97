"""The judgements of systemd.service: what counts as a clean exit, when to restart, when starts are too many. Pure.

Rules are those of the tables in systemd.service(5), "Restart=" and "SuccessExitStatus=". What systemd cannot have
is an exit that nobody saw; every policy that restarts on some failure restarts on it.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping

from inaetics.supervisor.values import Exit, How, Result, State
from inaetics.units.service_model import Ends, Restart, ServiceSpec

_FAILURES = frozenset(Result) - {Result.SUCCESS, Result.EXEC_CONDITION}

_RESTART_ON: Mapping[Restart, frozenset[Result]] = {
    Restart.NO: frozenset(),
    Restart.ALWAYS: frozenset(Result) - {Result.EXEC_CONDITION},
    Restart.ON_SUCCESS: frozenset({Result.SUCCESS}),
    Restart.ON_FAILURE: _FAILURES,
    Restart.ON_ABNORMAL: _FAILURES - {Result.EXIT_CODE},
    Restart.ON_WATCHDOG: frozenset({Result.WATCHDOG}),
    Restart.ON_ABORT: frozenset({Result.SIGNAL, Result.CORE_DUMP, Result.UNKNOWN}),
}

_NEVER_AGAIN = frozenset({Result.START_LIMIT_HIT, Result.DEPENDENCY, Result.ASSERT})


def main_result(spec: ServiceSpec, exit_: Exit) -> Result:
    """Return what this end of a main process means; the spec says which statuses and signals are clean."""
    match exit_.how:
        case How.EXITED if exit_.status in spec.success_codes:
            return Result.SUCCESS
        case How.KILLED if exit_.status in spec.success_signals:
            return Result.SUCCESS
        case _:
            return command_result(exit_)


def command_result(exit_: Exit) -> Result:
    """Return what this end of a control command means: only status 0 is a success."""
    match exit_.how:
        case How.EXITED:
            return Result.SUCCESS if exit_.status == 0 else Result.EXIT_CODE
        case How.KILLED:
            return Result.SIGNAL
        case How.DUMPED:
            return Result.CORE_DUMP
        case How.UNKNOWN:
            return Result.UNKNOWN


def shall_restart(spec: ServiceSpec, state: State) -> bool:
    """Return whether Restart= wants the unit up again after this end; a stop somebody asked for is never undone."""
    if state.forbid_restart or state.result in _NEVER_AGAIN:
        return False
    if _ended_as(state, spec.restart_prevent):
        return False
    return _ended_as(state, spec.restart_force) or state.result in _RESTART_ON[spec.restart]


def _ended_as(state: State, ends: Ends) -> bool:
    """Return whether the main process ended in one of these ways."""
    if state.main_exit is None:
        return False
    match state.main_exit.how:
        case How.EXITED:
            return state.main_exit.status in ends.codes
        case How.KILLED | How.DUMPED:
            return state.main_exit.status in ends.signals
        case How.UNKNOWN:
            return False


def count_start(spec: ServiceSpec, starts: tuple[float, ...], now: float) -> tuple[float, ...] | None:
    """Return the starts that count after one more at `now`, or None when the start limit forbids it."""
    if spec.start_limit_burst <= 0 or spec.start_limit_interval_s <= 0:
        return ()
    recent = tuple(start for start in starts if start > now - spec.start_limit_interval_s)
    return (*recent, now) if len(recent) < spec.start_limit_burst else None


def why(what: str, exit_: Exit) -> str:
    """Return for people how `what` ended, e.g. "ExecStart exited with status 3"."""
    match exit_.how:
        case How.EXITED:
            return f"{what} exited with status {exit_.status}{_MEANING.get(exit_.status, '')}"
        case How.KILLED:
            return f"{what} was killed by {signal_name(exit_.status)}"
        case How.DUMPED:
            return f"{what} crashed with {signal_name(exit_.status)} and dumped core"
        case How.UNKNOWN:
            return f"{what} ended, and how is unknown: the supervisor that started it was gone"


_MEANING = {
    200: " (cannot change to its WorkingDirectory)",
    201: " (its Nice= could not be set)",
    203: " (its program could not be run)",
    205: " (its limits could not be set)",
    206: " (its OOMScoreAdjust= or CoredumpFilter= could not be set)",
    211: " (its IOSchedulingClass= could not be set)",
    212: " (its TimerSlackNSec= could not be set)",
    214: " (its CPUSchedulingPolicy= could not be set)",
    215: " (its CPUAffinity= could not be set)",
    219: " (its control group could not be entered)",
    227: " (NoNewPrivileges= could not be set)",
    217: " (its User or Group could not be taken)",
}
"""Statuses that our own child uses between fork and exec; the numbers are systemd's."""


def signal_name(number: int) -> str:
    """Return "SIGTERM" for 15; a number without a name as "signal 77"."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
