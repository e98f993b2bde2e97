"""Giving a process what its unit asks for before it runs its program. Called in the forked child, so it is quick.

Each failure has the exit status that systemd has for it. What only needs rights that we lack, and only makes the
process come off worse than it wanted, is said and left: see `Step`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from inaetics.supervisor import linux
from inaetics.units.execution import ProcessSettings

EXIT_NICE = 201
EXIT_OOM_ADJUST = 206
EXIT_IOPRIO = 211
EXIT_TIMERSLACK = 212
EXIT_SETSCHEDULER = 214
EXIT_CPUAFFINITY = 215
EXIT_NO_NEW_PRIVILEGES = 227

Step = tuple[int, bool, Callable[[], None]]
"""Exit status of a failure, whether a lack of rights is borne, and what to do."""


def steps(settings: ProcessSettings) -> list[Step]:
    """Return what is to be done, in order."""
    found: list[Step] = []

    def add(wanted: bool, status: int, do: Callable[[], None], *, bears: bool = False) -> None:
        if wanted:
            found.append((status, bears, do))

    add(settings.nice is not None, EXIT_NICE, lambda: _nice(settings), bears=True)
    add(settings.oom_score_adjust is not None, EXIT_OOM_ADJUST, lambda: _oom_score(settings), bears=True)
    add(settings.coredump_filter is not None, EXIT_OOM_ADJUST, lambda: _coredump_filter(settings))
    add(settings.io_class is not None or settings.io_priority is not None, EXIT_IOPRIO, lambda: _io(settings))
    add(settings.cpu_policy is not None, EXIT_SETSCHEDULER, lambda: _scheduler(settings))
    add(bool(settings.cpu_affinity), EXIT_CPUAFFINITY, lambda: os.sched_setaffinity(0, settings.cpu_affinity))
    add(settings.timer_slack_ns is not None, EXIT_TIMERSLACK, lambda: linux.timer_slack(settings.timer_slack_ns or 0))
    add(settings.no_new_privileges, EXIT_NO_NEW_PRIVILEGES, linux.no_new_privileges)
    return found


def _nice(settings: ProcessSettings) -> None:
    os.setpriority(os.PRIO_PROCESS, 0, settings.nice or 0)


def _oom_score(settings: ProcessSettings) -> None:
    Path("/proc/self/oom_score_adj").write_text(str(settings.oom_score_adjust))


def _coredump_filter(settings: ProcessSettings) -> None:
    Path("/proc/self/coredump_filter").write_text(f"{settings.coredump_filter or 0:#x}")


def _io(settings: ProcessSettings) -> None:
    best_effort, usual = 2, 4
    io_class = best_effort if settings.io_class is None else settings.io_class
    linux.io_priority(io_class, usual if settings.io_priority is None else settings.io_priority)


def _scheduler(settings: ProcessSettings) -> None:
    policy = (settings.cpu_policy or 0) | (os.SCHED_RESET_ON_FORK if settings.cpu_reset_on_fork else 0)
    os.sched_setscheduler(0, policy, os.sched_param(settings.cpu_priority))
