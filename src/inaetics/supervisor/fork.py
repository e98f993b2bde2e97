"""Making a process by a fork of the supervisor: the way that can do everything, for what posix_spawn cannot do.

The supervisor has one thread and no lock a child could find locked, so a plain fork is safe.
"""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable
from typing import NoReturn

from inaetics.supervisor import linux
from inaetics.supervisor.launch import HANDLED, Account, Child, Launch

EXIT_CHDIR = 200
EXIT_EXEC = 203
EXIT_LIMITS = 205
EXIT_USER = 217
EXIT_CGROUP = 219
"""Exit statuses of a child that could not become what it should: systemd's numbers."""


def fork(launch: Launch, *, tell_executed: bool = False) -> Child:
    """Fork a child for `launch`, in a session of its own. Raises OSError when it cannot fork."""
    executed_fd, executing_fd = os.pipe() if tell_executed else (None, None)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
    try:
        pid = os.fork()
        if pid == 0:
            _child(launch, executing_fd)
    except OSError:
        if executed_fd is not None:
            os.close(executed_fd)
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        if executing_fd is not None:
            os.close(executing_fd)
    return Child(pid, executed=executed_fd)


def _child(launch: Launch, executing_fd: int | None) -> NoReturn:
    """Become the program. Nothing here may return or raise: this is still a copy of the supervisor."""
    status = EXIT_EXEC
    try:
        os.setsid()
        _plain_signals(launch)
        status = EXIT_CGROUP
        _join(launch.groups)
        _settle(launch)
        status = EXIT_LIMITS
        for number, limit in launch.limits:
            _limit(launch, number, limit)
        for status, bears, do in launch.steps:  # noqa: B007 - the status of the step that failed is what we exit with
            _step(launch, do, bears=bears)
        status = EXIT_CHDIR
        _enter(launch)
        status = EXIT_USER
        _become(launch.account)
        status = EXIT_EXEC
        os.execve(launch.program, launch.argv, launch.environment)
    except BaseException as error:  # noqa: BLE001 - a copy of the supervisor must never run on
        _complain(launch, error)
        if executing_fd is not None:
            os.write(executing_fd, b"!")
    finally:
        os._exit(status)


def _plain_signals(launch: Launch) -> None:
    """Undo what the supervisor does with signals; they were blocked around the fork, so none is taken in between."""
    signal.set_wakeup_fd(-1)
    for number in launch.plain_signals:
        signal.signal(number, signal.SIG_DFL)
    if launch.ignore_sigpipe:
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _settle(launch: Launch) -> None:
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null if launch.input is None else launch.input, 0)
    os.dup2(launch.output, 1)
    os.dup2(launch.error, 2)
    os.umask(launch.umask)


def _join(groups: tuple[str, ...]) -> None:
    """Enter the unit's control groups."""
    for path in groups:
        linux.write(path, "0")


def _limit(launch: Launch, number: int, limit: tuple[int, int]) -> None:
    """Set a resource limit; where it is above what we have and we may not raise that, have as much as we may."""
    try:
        resource.setrlimit(number, limit)
    except (PermissionError, ValueError) as error:
        most = resource.getrlimit(number)[1]
        soft, hard = (most if _above(each, most) else each for each in limit)
        resource.setrlimit(number, (soft, hard))
        _say(launch, f"a limit was lowered to {hard}, the most that is allowed here: {error}")


def _above(limit: int, most: int) -> bool:
    return most != resource.RLIM_INFINITY and (limit == resource.RLIM_INFINITY or limit > most)


def _step(launch: Launch, do: Callable[[], None], *, bears: bool) -> None:
    try:
        do()
    except PermissionError as error:
        if not bears:
            raise
        _say(launch, f"runs without what it asked for: {error}")


def _enter(launch: Launch) -> None:
    try:
        os.chdir(launch.directory)
    except OSError:
        if not launch.missing_directory_ok:
            raise
        os.chdir("/")


def _become(account: Account | None) -> None:
    if account is not None:
        os.setgroups(account.groups)
        os.setgid(account.gid)
        os.setuid(account.uid)


def _complain(launch: Launch, error: BaseException) -> None:
    """Say in the unit's journal why its program does not run."""
    _say(launch, f"cannot run {launch.program}: {error}")


def _say(launch: Launch, text: str) -> None:
    os.write(launch.error, f"supervisor: {text}\n".encode())
