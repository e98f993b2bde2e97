"""A service as one value: everything the embedded supervisor needs to run it. The defaults are systemd's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from signal import Signals
from types import MappingProxyType

from inaetics.units.command import Command


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


class Output(StrEnum):
    """Where lines go."""

    JOURNAL = "journal"
    NULL = "null"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A resource limit; None is unlimited."""

    soft: int | None
    hard: int | None


_EMPTY: Mapping[str, str] = MappingProxyType({})
_NO_LIMITS: Mapping[str, Limit] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSpec:
    """A service. Times are in seconds, `math.inf` for none; sizes in bytes; None means no limit or not given."""

    name: str
    description: str = ""
    type: ServiceType = ServiceType.SIMPLE

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
    remain_after_exit: bool = False

    timeout_start_s: float = 90.0
    timeout_stop_s: float = 90.0

    notify_access: NotifyAccess = NotifyAccess.NONE

    environment: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    environment_files: tuple[EnvironmentFile, ...] = ()
    """Read in this order, after `environment`, which they override."""
    working_directory: WorkingDirectory | None = None
    user: str | None = None
    group: str | None = None
    umask: int = 0o022
    standard_output: Output = Output.JOURNAL
    standard_error: Output = Output.JOURNAL

    kill_mode: KillMode = KillMode.CONTROL_GROUP
    kill_signal: Signals = Signals.SIGTERM
    send_sigkill: bool = True

    limits: Mapping[str, Limit] = field(default_factory=lambda: _NO_LIMITS)
    """By the name of the resource without RLIMIT_: NOFILE, NPROC, CORE."""

    requires: tuple[str, ...] = ()
    wants: tuple[str, ...] = ()
    binds_to: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
