"""What it takes to make a process, and what was made: values that the ways of making one share."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass

from inaetics.supervisor.process_settings import Step

HANDLED = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGCHLD})
"""What the supervisor has handlers for. A child that took one before it had its own would tell the supervisor."""

PLAIN = frozenset(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP}
"""What a program is to find as nobody had touched it, whatever the supervisor does with it or was started with."""


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
    `input` None: nothing to read. `groups` are the files that take the process into control groups; `home` is the one
    that takes the supervisor back where it may go along for a moment, None where it may not. `steps` are done before
    it becomes somebody else. `limits` are resource limits by number. `missing_directory_ok`: run in / when
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
    home: str | None = None
    ignore_sigpipe: bool = False
    steps: tuple[Step, ...] = ()
    missing_directory_ok: bool = False
    account: Account | None = None
    umask: int = 0o022
    limits: tuple[tuple[int, tuple[int, int]], ...] = ()

    @property
    def plain_signals(self) -> frozenset[int]:
        """The signals to be reset."""
        return PLAIN - {signal.SIGPIPE} if self.ignore_sigpipe else PLAIN


@dataclass(slots=True)
class Child:
    """A process that was made. `ran`: it runs its program already.

    `executed` is a pipe's end, or None: it is closed without a byte once the child runs its program.
    """

    pid: int
    ran: bool = False
    executed: int | None = None
