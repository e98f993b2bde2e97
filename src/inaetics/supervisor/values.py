"""The values of the state machine: a unit's state, what can happen to it, and what is to be done. Pure.

States, results and their names are those of systemd.service, so that people and scripts read what they know.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from inaetics.supervisor.protocol import Active


class Sub(StrEnum):
    """systemd's sub states of a service."""

    DEAD = "dead"
    CONDITION = "condition"
    START_PRE = "start-pre"
    START = "start"
    START_POST = "start-post"
    RUNNING = "running"
    EXITED = "exited"
    RELOAD = "reload"
    STOP = "stop"
    STOP_WATCHDOG = "stop-watchdog"
    STOP_SIGTERM = "stop-sigterm"
    STOP_SIGKILL = "stop-sigkill"
    STOP_POST = "stop-post"
    FINAL_WATCHDOG = "final-watchdog"
    FINAL_SIGTERM = "final-sigterm"
    FINAL_SIGKILL = "final-sigkill"
    FAILED = "failed"
    AUTO_RESTART = "auto-restart"


STARTING = frozenset({Sub.CONDITION, Sub.START_PRE, Sub.START, Sub.START_POST})
UP = frozenset({Sub.RUNNING, Sub.EXITED, Sub.RELOAD})
STOP_KILLING = frozenset({Sub.STOP_WATCHDOG, Sub.STOP_SIGTERM, Sub.STOP_SIGKILL})
FINAL_KILLING = frozenset({Sub.FINAL_WATCHDOG, Sub.FINAL_SIGTERM, Sub.FINAL_SIGKILL})
KILLING = STOP_KILLING | FINAL_KILLING
WATCHED = frozenset({Sub.START_POST, Sub.RUNNING, Sub.RELOAD})
"""Where the watchdog counts."""
STOPPING = KILLING | {Sub.STOP, Sub.STOP_POST}
OVER = frozenset({Sub.DEAD, Sub.FAILED})
RESTING = OVER | {Sub.AUTO_RESTART}
"""Nothing of the unit runs."""

_ACTIVE = {
    Sub.DEAD: Active.INACTIVE,
    Sub.FAILED: Active.FAILED,
    Sub.RUNNING: Active.ACTIVE,
    Sub.EXITED: Active.ACTIVE,
    Sub.RELOAD: Active.RELOADING,
    Sub.AUTO_RESTART: Active.ACTIVATING,
    **dict.fromkeys(STARTING, Active.ACTIVATING),
    **dict.fromkeys(STOPPING, Active.DEACTIVATING),
}


def active_of(sub: Sub) -> Active:
    """Return the active state that systemd shows for this sub state."""
    return _ACTIVE[sub]


class Result(StrEnum):
    """Why a unit ended: systemd's results, "lost-touch" (see `deadline`), and "unknown" for an end nobody saw."""

    SUCCESS = "success"
    EXIT_CODE = "exit-code"
    SIGNAL = "signal"
    CORE_DUMP = "core-dump"
    TIMEOUT = "timeout"
    PROTOCOL = "protocol"
    RESOURCES = "resources"
    WATCHDOG = "watchdog"
    OOM_KILL = "oom-kill"
    EXEC_CONDITION = "exec-condition"
    ASSERT = "assert"
    START_LIMIT_HIT = "start-limit-hit"
    DEPENDENCY = "dependency"
    LOST_TOUCH = "lost-touch"
    UNKNOWN = "unknown"


class How(StrEnum):
    """How a process ended."""

    EXITED = "exited"
    KILLED = "killed"
    DUMPED = "dumped"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """The end of a process: `status` is the exit status or the signal's number, 0 when nobody saw it."""

    how: How
    status: int = 0


class Role(StrEnum):
    """The main process is the service; a control process is one command of the other Exec lists."""

    MAIN = "main"
    CONTROL = "control"


class Commands(StrEnum):
    """The lists of commands, by the directive that holds them."""

    CONDITION = "ExecCondition"
    START_PRE = "ExecStartPre"
    START = "ExecStart"
    START_POST = "ExecStartPost"
    RELOAD = "ExecReload"
    STOP = "ExecStop"
    STOP_POST = "ExecStopPost"


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Where a unit stands. `main` and `control`: such a process lives (or its end was not reported yet).

    `index` is the command of the list that runs now; `start_again`: a start waits for the end of this stop;
    `forbid_restart`: somebody asked for the stop; `begin_again`: the end of a command before ExecStart was not
    seen, so the start is to be done anew whatever Restart= says. `starts` are the clock readings of the starts
    that still count for the start limit; `restarts` counts automatic ones since somebody last asked for a start.
    `left_out`: the last start was not done because a condition did not hold, which is no failure.
    `result` and `message` tell the first thing that went wrong in this run.
    """

    sub: Sub = Sub.DEAD
    result: Result = Result.SUCCESS
    message: str | None = None
    main: bool = False
    control: bool = False
    main_exit: Exit | None = None
    index: int = 0
    start_again: bool = False
    forbid_restart: bool = False
    begin_again: bool = False
    starts: tuple[float, ...] = ()
    restarts: int = 0
    left_out: bool = False


# ---- what can happen


@dataclass(frozen=True, slots=True)
class StartRequested:
    """Somebody wants the unit up."""


@dataclass(frozen=True, slots=True)
class StopRequested:
    """Somebody wants the unit down; cancels a start that waits."""


@dataclass(frozen=True, slots=True)
class RestartRequested:
    """Somebody wants the unit down and up again."""


@dataclass(frozen=True, slots=True)
class LostTouch:
    """The unit may not run any longer without news of the fleet; `at_once`: no process of it may live from now on."""

    message: str
    at_once: bool


@dataclass(frozen=True, slots=True)
class ReloadRequested:
    """Somebody wants ExecReload run."""


@dataclass(frozen=True, slots=True)
class Begun:
    """Begin was done: from here on the content loaded last counts."""


@dataclass(frozen=True, slots=True)
class ConditionUnmet:
    """Instead of Begun: a Condition…= or Assert…= does not hold."""

    message: str
    is_assertion: bool


@dataclass(frozen=True, slots=True)
class MainSpawned:
    """The main process was forked."""


@dataclass(frozen=True, slots=True)
class Executed:
    """The main process runs its program (Type=exec)."""


@dataclass(frozen=True, slots=True)
class SpawnFailed:
    """No process could be made for the last Spawn."""

    role: Role
    message: str


@dataclass(frozen=True, slots=True)
class MainExited:
    """The main process ended."""

    exit: Exit


@dataclass(frozen=True, slots=True)
class ControlExited:
    """The control process ended."""

    exit: Exit


@dataclass(frozen=True, slots=True)
class MainAnnounced:
    """MAINPID= named a living process: that is the main one from now on."""


@dataclass(frozen=True, slots=True)
class Ready:
    """READY=1 arrived."""


@dataclass(frozen=True, slots=True)
class Stopping:
    """STOPPING=1 arrived: the service stops by itself."""


@dataclass(frozen=True, slots=True)
class StatusSaid:
    """STATUS= arrived: there is something new to show, and nothing to do."""


@dataclass(frozen=True, slots=True)
class Extended:
    """EXTEND_TIMEOUT_USEC arrived: the present step may take `seconds` from now."""

    seconds: float


@dataclass(frozen=True, slots=True)
class WatchdogTimedOut:
    """The service was silent for longer than WatchdogSec=."""


@dataclass(frozen=True, slots=True)
class OomKilled:
    """The kernel killed a process of the unit for want of memory; its end, if it is a known one, comes after this."""


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The time armed last is over."""


@dataclass(frozen=True, slots=True)
class KillSent:
    """The last Kill was done; `waiting`: it reached processes whose end is worth waiting for."""

    waiting: bool


@dataclass(frozen=True, slots=True)
class GroupEmpty:
    """No process of the unit is left."""


@dataclass(frozen=True, slots=True)
class DependencyFailed:
    """A unit this one requires could not be started."""

    message: str


@dataclass(frozen=True, slots=True)
class Resumed:
    """The supervisor was restarted and has adopted this unit; exits it missed follow as events of their own."""


Event = (
    StartRequested
    | StopRequested
    | RestartRequested
    | LostTouch
    | ReloadRequested
    | Begun
    | ConditionUnmet
    | MainSpawned
    | Executed
    | SpawnFailed
    | MainExited
    | ControlExited
    | MainAnnounced
    | Ready
    | Stopping
    | StatusSaid
    | Extended
    | WatchdogTimedOut
    | OomKilled
    | TimedOut
    | KillSent
    | GroupEmpty
    | DependencyFailed
    | Resumed
)


# ---- what is to be done


@dataclass(frozen=True, slots=True)
class Begin:
    """A new run starts: take the content loaded last and a new invocation id, then answer with Begun."""


@dataclass(frozen=True, slots=True)
class Spawn:
    """Run command `index` of the list as `role`; a main process is answered with MainSpawned."""

    role: Role
    commands: Commands
    index: int


@dataclass(frozen=True, slots=True)
class Arm:
    """Report TimedOut after `seconds`; this replaces what was armed before. None: only forget what was armed.

    `since_up`: count them from when the unit came up, not from now.
    """

    seconds: float | None
    since_up: bool = False


@dataclass(frozen=True, slots=True)
class Kill:
    """Signal the unit's processes: the main one, the control one, or (`group`) every one. Answer with KillSent.

    `hang_up`: SIGHUP follows.
    """

    signal: int
    main: bool
    control: bool
    group: bool
    hang_up: bool = False


Action = Begin | Spawn | Arm | Kill
