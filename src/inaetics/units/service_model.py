"""A service as one value: everything the embedded supervisor needs to run it. The defaults are systemd's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from signal import Signals
from types import MappingProxyType

from inaetics.units.command import Command
from inaetics.units.conditions import Condition
from inaetics.units.execution import (
    AS_THE_SUPERVISOR,
    NO_INPUT,
    Directory,
    FileOutput,
    Input,
    Limit,
    Output,
    ProcessSettings,
)
from inaetics.units.resources import NOTHING_SAID, Resources


class ServiceType(StrEnum):
    """When a start counts as done: at once, after exec(2), when the program ended, when it said so."""

    SIMPLE = "simple"
    EXEC = "exec"
    ONESHOT = "oneshot"
    NOTIFY = "notify"


class Restart(StrEnum):
    """After which ends a service is started again. systemd.service(5) has the table."""

    NO = "no"
    ON_SUCCESS = "on-success"
    ON_FAILURE = "on-failure"
    ON_ABNORMAL = "on-abnormal"
    ON_WATCHDOG = "on-watchdog"
    ON_ABORT = "on-abort"
    ALWAYS = "always"


class KillMode(StrEnum):
    """Who receives signals on stopping: all; the main process, then SIGKILL for all; the main process; nobody."""

    CONTROL_GROUP = "control-group"
    MIXED = "mixed"
    PROCESS = "process"
    NONE = "none"


class NotifyAccess(StrEnum):
    """Whose notifications count: nobody's, the main process's, any process's of an Exec…= line, everybody's."""

    NONE = "none"
    MAIN = "main"
    EXEC = "exec"
    ALL = "all"


class FailureMode(StrEnum):
    """How a service that took too long is ended: KillSignal first; WatchdogSignal first, for a core; SIGKILL."""

    TERMINATE = "terminate"
    ABORT = "abort"
    KILL = "kill"


class OomPolicy(StrEnum):
    """What follows when the kernel kills a process of the service for want of memory."""

    CONTINUE = "continue"
    STOP = "stop"
    KILL = "kill"


@dataclass(frozen=True, slots=True)
class Ends:
    """A set of ways to end: exit statuses, and signals."""

    codes: frozenset[int] = frozenset()
    signals: frozenset[Signals] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentFile:
    """A file of assignments, read at each start; `optional`: it may be missing."""

    path: str
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkingDirectory:
    """Where a program starts; `~` is its user's home. `optional`: when it is missing, `/` is used."""

    path: str
    optional: bool = False


_EMPTY: Mapping[str, str] = MappingProxyType({})
_NO_LIMITS: Mapping[str, Limit] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSpec:
    """A service. Times are in seconds, `math.inf` for none; sizes in bytes; None means no limit or not given."""

    name: str
    description: str = ""
    type: ServiceType = ServiceType.SIMPLE

    exec_condition: tuple[Command, ...] = ()
    exec_start_pre: tuple[Command, ...] = ()
    exec_start: tuple[Command, ...] = ()
    """One command, or any number of a oneshot service."""
    exec_start_post: tuple[Command, ...] = ()
    exec_reload: tuple[Command, ...] = ()
    exec_stop: tuple[Command, ...] = ()
    exec_stop_post: tuple[Command, ...] = ()

    restart: Restart = Restart.NO
    restart_s: float = 0.1
    start_limit_interval_s: float = 10.0
    """0 switches the limit off."""
    start_limit_burst: int = 5
    """Starts within the interval; 0 switches the limit off."""
    success_codes: frozenset[int] = frozenset({0})
    """Exit statuses that count as success."""
    success_signals: frozenset[Signals] = frozenset({Signals.SIGHUP, Signals.SIGINT, Signals.SIGTERM, Signals.SIGPIPE})
    """Signals whose death counts as success (of a oneshot service none does)."""
    restart_prevent: Ends = Ends()
    """Ends of the main process after which it is not started again, whatever `restart` says."""
    restart_force: Ends = Ends()
    """Ends of the main process after which it is started again, whatever `restart` says."""
    remain_after_exit: bool = False

    timeout_start_s: float = 90.0
    timeout_stop_s: float = 90.0
    timeout_abort_s: float | None = None
    """How long the end by WatchdogSignal may take; None: as any other."""
    start_failure_mode: FailureMode = FailureMode.TERMINATE
    stop_failure_mode: FailureMode = FailureMode.TERMINATE
    runtime_max_s: float = math.inf
    watchdog_s: float = math.inf
    """How long the service may be silent (WATCHDOG=1) while it is up."""
    watchdog_signal: Signals = Signals.SIGABRT

    notify_access: NotifyAccess = NotifyAccess.NONE

    environment: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    environment_files: tuple[EnvironmentFile, ...] = ()
    """Read in this order, after `environment`, which they override."""
    working_directory: WorkingDirectory | None = None
    user: str | None = None
    group: str | None = None
    umask: int = 0o022
    supplementary_groups: tuple[str, ...] = ()
    pass_environment: tuple[str, ...] = ()
    """Variables of the supervisor's own environment that are passed on."""
    unset_environment: tuple[str, ...] = ()
    """Names, or NAME=value: removed last, wherever they came from."""
    standard_input: Input = NO_INPUT
    standard_output: Output | FileOutput = Output.JOURNAL
    standard_error: Output | FileOutput = Output.JOURNAL
    process: ProcessSettings = AS_THE_SUPERVISOR
    directories: tuple[Directory, ...] = ()

    kill_mode: KillMode = KillMode.CONTROL_GROUP
    kill_signal: Signals = Signals.SIGTERM
    send_sigkill: bool = True
    send_sighup: bool = False
    restart_kill_signal: Signals | None = None
    """In place of `kill_signal` when the service is stopped to be started again."""
    final_kill_signal: Signals = Signals.SIGKILL

    limits: Mapping[str, Limit] = field(default_factory=lambda: _NO_LIMITS)
    """By the name of the resource without RLIMIT_: NOFILE, NPROC, CORE."""
    resources: Resources = NOTHING_SAID
    oom_policy: OomPolicy = OomPolicy.STOP
    conditions: tuple[Condition, ...] = ()

    requires: tuple[str, ...] = ()
    wants: tuple[str, ...] = ()
    binds_to: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    requisite: tuple[str, ...] = ()
    part_of: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    on_success: tuple[str, ...] = ()
    on_failure: tuple[str, ...] = ()
