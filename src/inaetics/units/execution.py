"""What surrounds a service's process, as values: input, output, limits, scheduling, directories made for it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Output(StrEnum):
    """Where lines go."""

    JOURNAL = "journal"
    NULL = "null"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOutput:
    """Lines go to a file: written over from its beginning (`file`), added to it, or to it emptied first."""

    path: str
    how: Literal["file", "append", "truncate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """What the process reads: nothing, a file, or `data`."""

    path: str = "/dev/null"
    data: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A resource limit; None is unlimited."""

    soft: int | None
    hard: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSettings:
    """What a process is given before it runs its program; None: as the supervisor has it.

    `io_class` and `cpu_policy` are the kernel's numbers. `coredump_filter` is the bit mask of core(5).
    """

    nice: int | None = None
    oom_score_adjust: int | None = None
    io_class: int | None = None
    io_priority: int | None = None
    cpu_policy: int | None = None
    cpu_priority: int = 0
    cpu_reset_on_fork: bool = False
    cpu_affinity: frozenset[int] = frozenset()
    timer_slack_ns: int | None = None
    coredump_filter: int | None = None
    ignore_sigpipe: bool = True
    no_new_privileges: bool = False


NO_INPUT = Input()
AS_THE_SUPERVISOR = ProcessSettings()


class DirectoryKind(StrEnum):
    """Which of the host's places a directory is made in."""

    RUNTIME = "Runtime"
    STATE = "State"
    CACHE = "Cache"
    LOGS = "Logs"
    CONFIGURATION = "Configuration"


class Preserve(StrEnum):
    """Whether a runtime directory outlives the stop."""

    NO = "no"
    RESTART = "restart"
    YES = "yes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """A directory that is made before the service starts, with symbolic links to it under other names.

    `path` is relative to the place of its kind. `preserve` counts for runtime directories, others always stay.
    """

    kind: DirectoryKind
    path: str
    links: tuple[str, ...] = ()
    mode: int = 0o755
    preserve: Preserve = Preserve.NO
