"""Reading /proc: who a process is (pid and start time), whose child, and which unit's marker it carries.

A pid alone names nothing, since numbers are used again; pid and start time do, until the machine boots.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import NamedTuple

MARKER = "INAETICS_UNIT"
"""The variable that every process of a unit has in its environment: `name@run`."""

SPAWN = "INAETICS_SPAWN"
"""The variable that a process of a unit, and what it starts, has from one spawn and no other."""

_DEAD_STATES = "ZX"

_EXCHANGE_LOOK_S = 0.001
_EXCHANGE_TRIES = 100
"""How long a process may be between two programs before it counts as one without an environment: 0.1 s."""


class Process(NamedTuple):
    """A process for good: its number and its start time in clock ticks since the machine's boot."""

    pid: int
    started: int


@dataclass(frozen=True, slots=True)
class Stat:
    """What /proc/PID/stat tells. `alive` is False for a process that ended and was not waited for."""

    process: Process
    alive: bool
    parent: int


def boot_id() -> str:
    """Return the identity of this boot of the machine."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def stat(pid: int) -> Stat | None:
    """Return who `pid` is now, or None when there is no such process."""
    text = _read(f"/proc/{pid}/stat")
    if text is None:
        return None
    fields = text[text.rindex(b")") + 2 :].split(None, 20)
    return Stat(Process(pid, int(fields[19])), fields[0].decode() not in _DEAD_STATES, int(fields[1]))


def identify(pid: int) -> Process | None:
    """Return the process that lives under this number, or None."""
    seen = stat(pid)
    return seen.process if seen is not None and seen.alive else None


def is_alive(process: Process) -> bool:
    """Return whether this very process still runs; one that ended and was not waited for does not."""
    return identify(process.pid) == process


def leads_session(pid: int) -> bool:
    """Return whether the process is the first of its session; False when it is gone."""
    try:
        return os.getsid(pid) == pid
    except ProcessLookupError:
        return False


def children(pid: int) -> set[int]:
    """Return the numbers of the children of `pid`, ended ones included; none when it is gone.

    Reliable for the children of this process itself, which only this process can wait for; for another's a child
    may be left out while others end, so ask again after they have.
    """
    found: set[int] = set()
    for thread in _threads(pid):
        text = _read(f"/proc/{pid}/task/{thread}/children")
        if text:
            found.update(map(int, text.split()))
    return found


def marker(pid: int) -> str | None:
    """Return the marker in the environment of `pid`; None when it has none, is gone, or is not ours to read."""
    return variable(pid, MARKER)


def variable(pid: int, name: str) -> str | None:
    """Return a variable of the environment that the program of `pid` was started with; None as in `marker`."""
    prefix = f"{name}=".encode()
    for assignment in environment(pid):
        if assignment.startswith(prefix):
            return assignment[len(prefix) :].decode(errors="replace")
    return None


def environment(pid: int) -> list[bytes]:
    """Return the assignments that the program of `pid` was started with; none when it is gone or not ours to read.

    While the kernel exchanges a process's program, it has neither environment nor command line for some microseconds,
    and whoever started it may already have been told that it runs. Such a one is waited for.
    """
    text = _read(f"/proc/{pid}/environ")
    for _ in range(_EXCHANGE_TRIES):
        if text != b"":
            break
        settled = not _is_between_programs(pid)
        text = _read(f"/proc/{pid}/environ")  # it may have settled since the first look
        if settled:
            break
        time.sleep(_EXCHANGE_LOOK_S)
    return text.split(b"\0") if text else []


def all_pids() -> list[int]:
    """Return the number of every process there is."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _is_between_programs(pid: int) -> bool:
    """A program started without an environment has a command line; the kernel's threads and the ended, no program."""
    try:
        os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return False
    return _read(f"/proc/{pid}/cmdline") == b""


def _threads(pid: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []


def _read(path: str) -> bytes | None:
    """Return a whole file of /proc, or None: processes go away, and some are not ours to read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        parts = []
        while part := os.read(fd, 65536):
            parts.append(part)
        return b"".join(parts)
    except OSError:
        return None
    finally:
        os.close(fd)
