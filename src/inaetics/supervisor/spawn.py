"""Making a process: the quick way where it is enough, a fork of the supervisor where it is not.

The quick way is posix_spawn, which copies no memory: a fork of a Python process costs five times as much, in the
parent, in the child, and in page faults of both. What posix_spawn cannot set, a child inherits from the supervisor,
which has it for that moment only: file mode mask, working directory, limit of open files, control group. The
supervisor has one thread, so nobody sees it like that. What could not be undone (another account, hard limits, limits
of a control group, priorities, …) takes a fork; so does whatever the quick way fails at, since the fork has words and
an exit status for each failure.

A child of either way holds a copy of the supervisor's lock on its run directory until it runs its program, so no
successor looks for it (`Members.spawned`) before it can be recognised.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from inaetics.supervisor import linux
from inaetics.supervisor.fork import fork
from inaetics.supervisor.launch import Child, Launch


def spawn(launch: Launch, *, tell_executed: bool = False) -> Child:
    """Make a process for `launch`, in a session of its own. Raises OSError when there can be none.

    One that cannot become what it should complains to `launch.error` and exits with the status that says why.
    """
    if can_be_quick(launch):
        try:
            return Child(_spawn_quickly(launch), ran=True)
        except (OSError, ValueError, NotImplementedError):
            pass  # the fork meets it too, and has the words for it
    return fork(launch, tell_executed=tell_executed)


def can_be_quick(launch: Launch) -> bool:
    """Whether a child can get all that it needs without a line of ours run in it."""
    if launch.account is not None or launch.steps or launch.missing_directory_ok:
        return False
    if len(launch.groups) > (0 if launch.home is None else 1):
        return False
    return all(number == resource.RLIMIT_NOFILE and _is_ours(limit[1]) for number, limit in launch.limits)


def _is_ours(hard: int) -> bool:
    return hard == resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def _spawn_quickly(launch: Launch) -> int:
    actions = (
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)
        if launch.input is None
        else (os.POSIX_SPAWN_DUP2, launch.input, 0),
        (os.POSIX_SPAWN_DUP2, launch.output, 1),
        (os.POSIX_SPAWN_DUP2, launch.error, 2),
    )
    with ExitStack() as lent:
        lent.enter_context(_mask(launch.umask))
        if launch.directory != os.getcwd():
            lent.enter_context(_directory(launch.directory))
        if launch.groups and launch.home is not None:
            lent.enter_context(_group(launch.groups[0], launch.home))
        for number, limit in launch.limits:
            lent.enter_context(_limit(number, limit))
        return os.posix_spawn(
            launch.program,
            launch.argv,
            launch.environment,
            file_actions=actions,
            setsid=True,
            setsigmask=(),
            setsigdef=launch.plain_signals,
        )


@contextmanager
def _mask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def _directory(path: str) -> Iterator[None]:
    here = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.chdir(path)
        yield
    finally:
        os.fchdir(here)
        os.close(here)


@contextmanager
def _limit(number: int, limit: tuple[int, int]) -> Iterator[None]:
    before = resource.getrlimit(number)
    resource.setrlimit(number, limit)
    try:
        yield
    finally:
        resource.setrlimit(number, before)


@contextmanager
def _group(group: str, home: str) -> Iterator[None]:
    """Be in a unit's control group. One that cannot leave it again ends: its successor will be where it should."""
    _enter(group)
    try:
        yield
    finally:
        try:
            _enter(home)
        except OSError:
            os._exit(1)


def _enter(group: str) -> None:
    linux.write(group, "0")
