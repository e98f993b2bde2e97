"""Making a process that does not run before it is let go.

`spawn` forks; the child waits at a gate (a pipe). The supervisor writes down who the child is and then opens the
gate; if it dies in between, the child reads the pipe's end and exits without having run anything. So whatever ran
is on record. The supervisor has one thread and no lock a child could find locked, so a plain fork is safe.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn

from inaetics.supervisor.process_settings import Step

EXIT_CHDIR = 200
EXIT_EXEC = 203
EXIT_LIMITS = 205
EXIT_USER = 217
EXIT_CGROUP = 219
"""Exit statuses of a child that could not become what it should: systemd's numbers."""

_HANDLED = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGCHLD})
"""What the supervisor has handlers for. A child that took one before it had its own would tell the supervisor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Whom to become: user, group and supplementary groups by number."""

    uid: int
    gid: int
    groups: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Everything a child needs; all look-ups were done before.

    `program` is an absolute path; `output` and `error` are open to write; `account` None: stay who we are.
    `input` None: nothing to read. `groups` are the files that take the process into control groups; `steps` are done
    before it becomes somebody else. `limits` are resource limits by number. `missing_directory_ok`: run in / when
    `directory` is not there.
    """

    program: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    directory: str
    output: int
    error: int
    input: int | None = None
    groups: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    missing_directory_ok: bool = False
    account: Account | None = None
    umask: int = 0o022
    limits: tuple[tuple[int, tuple[int, int]], ...] = ()


@dataclass(slots=True)
class Gate:
    """A forked child that waits.

    `executed` is a pipe's end, or None: it is closed without a byte once the child runs its program.
    """

    pid: int
    release_fd: int
    executed: int | None

    def open(self) -> None:
        """Let the child run. One that was killed at the gate is reported as ended, like any other."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self.release_fd, b"!")
        os.close(self.release_fd)

    def shut(self) -> None:
        """Never let the child run: it exits."""
        os.close(self.release_fd)


def spawn(launch: Launch, *, tell_executed: bool = False) -> Gate:
    """Fork a child for `launch`, in a session of its own, waiting at its gate. Raises OSError when it cannot fork."""
    wait_fd, release_fd = os.pipe()
    executed_fd, executing_fd = os.pipe() if tell_executed else (None, None)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
    try:
        pid = os.fork()
        if pid == 0:
            os.close(release_fd)
            _child(launch, wait_fd, executing_fd)
    except OSError:
        for fd in (release_fd, executed_fd):
            if fd is not None:
                os.close(fd)
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        os.close(wait_fd)
        if executing_fd is not None:
            os.close(executing_fd)
    return Gate(pid, release_fd, executed_fd)


def _child(launch: Launch, wait_fd: int, executing_fd: int | None) -> NoReturn:
    """Become the program. Nothing here may return or raise: this is still a copy of the supervisor."""
    status = EXIT_EXEC
    try:
        os.setsid()
        _plain_signals()
        status = EXIT_CGROUP
        _join(launch.groups)
        if os.read(wait_fd, 1) != b"!":
            os._exit(0)
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


def _plain_signals() -> None:
    """Undo what the supervisor does with signals; they were blocked around the fork, so none is taken in between."""
    signal.set_wakeup_fd(-1)
    for number in (*_HANDLED, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _settle(launch: Launch) -> None:
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null if launch.input is None else launch.input, 0)
    os.dup2(launch.output, 1)
    os.dup2(launch.error, 2)
    os.umask(launch.umask)


def _join(groups: tuple[str, ...]) -> None:
    """Enter the unit's control groups: while we wait at the gate, since it takes the kernel a while."""
    for path in groups:
        fd = os.open(path, os.O_WRONLY)
        os.write(fd, b"0")
        os.close(fd)


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
