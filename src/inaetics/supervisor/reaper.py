"""Learning that processes ended: children by SIGCHLD and waitpid, all others by pidfd.

After a restart the supervisor is not the parent of what it adopts, and a process that a notification names may be
anybody's child. Of those only the end can be seen, not the status: it is reported as unknown, never guessed.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Set
from contextlib import suppress

from inaetics.supervisor.procfs import Process, is_alive
from inaetics.supervisor.values import Exit, How

UNKNOWN = Exit(how=How.UNKNOWN)

OnEnd = Callable[[Process, Exit], None]


class Reaper:
    """Calls back once for every process it was told of, when that ends. Reaps every other child silently."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._owners: dict[int, tuple[Process, OnEnd]] = {}
        self._pidfds: dict[int, int] = {}
        self._loop.add_signal_handler(signal.SIGCHLD, self.reap)

    def close(self) -> None:
        """Stop listening."""
        self._loop.remove_signal_handler(signal.SIGCHLD)
        for pid in list(self._pidfds):
            self._drop_pidfd(pid)

    def expect(self, process: Process, on_end: OnEnd) -> None:
        """Report the end of a child of this process."""
        self._owners[process.pid] = (process, on_end)

    def watch(self, process: Process, on_end: OnEnd) -> bool:
        """Report the end of any process; return False, and report nothing, when it has ended already."""
        if process.pid not in self._pidfds and not self._open_pidfd(process):
            return False
        self._owners[process.pid] = (process, on_end)
        return True

    def is_watched(self, process: Process) -> bool:
        """Return whether the end of this process will be reported."""
        owner = self._owners.get(process.pid)
        return owner is not None and owner[0] == process

    @property
    def known(self) -> Set[int]:
        """The numbers of the processes that are somebody's and were not seen to end; it changes with them."""
        return self._owners.keys()

    def forget(self, process: Process) -> None:
        """Report nothing about this process any more; it is still reaped."""
        if self.is_watched(process):
            del self._owners[process.pid]
            self._drop_pidfd(process.pid)

    def signal(self, process: Process, number: int) -> None:
        """Signal this very process, never another that got its number. One that has ended is no error."""
        pidfd = self._pidfds.get(process.pid)
        with suppress(ProcessLookupError, PermissionError):
            if pidfd is not None:
                signal.pidfd_send_signal(pidfd, number)
            else:
                os.kill(process.pid, number)  # a child keeps its number until it is waited for

    def reap(self) -> None:
        """Wait for every child that has ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._ended(pid, _exit_of(status))

    def _open_pidfd(self, process: Process) -> bool:
        try:
            fd = os.pidfd_open(process.pid)
        except ProcessLookupError:
            return False
        if not is_alive(process):  # looked at only now: from here on the descriptor means this very process
            os.close(fd)
            return False
        self._pidfds[process.pid] = fd
        self._loop.add_reader(fd, self._readable, process)
        return True

    def _readable(self, process: Process) -> None:
        try:
            pid, status = os.waitpid(process.pid, os.WNOHANG)
        except ChildProcessError:
            pid, status = 0, 0
        self._ended(process.pid, _exit_of(status) if pid else UNKNOWN)

    def _ended(self, pid: int, exit_: Exit) -> None:
        self._drop_pidfd(pid)
        owner = self._owners.pop(pid, None)
        if owner is not None:
            owner[1](owner[0], exit_)

    def _drop_pidfd(self, pid: int) -> None:
        fd = self._pidfds.pop(pid, None)
        if fd is not None:
            self._loop.remove_reader(fd)
            os.close(fd)


def _exit_of(status: int) -> Exit:
    if os.WIFSIGNALED(status):
        return Exit(how=How.DUMPED if os.WCOREDUMP(status) else How.KILLED, status=os.WTERMSIG(status))
    return Exit(how=How.EXITED, status=os.WEXITSTATUS(status))
