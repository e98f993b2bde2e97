"""What a supervisor promises, whichever runs the host's units: ours, embedded, or systemd.

Promises: a unit survives the death of whoever asked for it; nothing started here outlives its `stop`;
what a supervisor could not see (an exit status missed while it was dead) is said to be unknown, never guessed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Active(StrEnum):
    """systemd's active states."""

    INACTIVE = "inactive"
    ACTIVATING = "activating"
    ACTIVE = "active"
    RELOADING = "reloading"
    DEACTIVATING = "deactivating"
    FAILED = "failed"


LOST_TOUCH = "lost-touch"
"""The result of a unit that `Supervisor.arm` stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitStatus:
    """One unit as its supervisor sees it now.

    `load` is systemd's load state ("loaded", "not-found", "error"), `sub` its sub state ("running", "start-pre",
    "auto-restart", "exited", "dead", "failed", …), `result` its result ("success", "exit-code", "signal", "timeout",
    "start-limit-hit", "lost-touch", "unknown"). `content_hash` is the SHA-256 hex of the text last given to `load`,
    `run_hash` of the one that the present or last run was started with; empty before the first. `since` is Unix seconds
    of the last change of `active`. `message` is for people: why it failed, or None. `system` marks the host's own
    units, which nobody loaded over the protocol. `pulled_at` and `started_at` are Unix seconds of the present or last
    run: its `ExecStartPre=` were done (a container's image is there), its main process was launched; 0 until then.
    `stop_when_lost` marks the units that `arm` is about.
    """

    name: str
    load: str
    active: Active
    sub: str
    result: str
    content_hash: str
    since: float
    main_pid: int | None = None
    exit_status: int | None = None
    message: str | None = None
    system: bool = False
    pulled_at: float = 0.0
    started_at: float = 0.0
    stop_when_lost: bool = False
    run_hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitGone:
    """A unit was unloaded: the supervisor no longer knows it."""

    name: str


class Supervisor(Protocol):
    """Runs units on one host. Every method raises `Unavailable` when the supervisor does not answer."""

    async def load(self, name: str, text: str, *, stop_when_lost: bool = False) -> None:
        """Make `name` known with this content; idempotent. New content takes effect at the next start.

        A unit with `stop_when_lost` runs only while the supervisor is armed: see `arm`.
        Raises `UnitFileError` naming what is malformed or not understood; nothing is changed then.
        """

    async def start(self, name: str) -> None:
        """Queue a start job and return once it is accepted; what comes of it is seen through `watch`.

        Idempotent: an active or activating unit stays as it is. Raises `NotFound` for a unit never loaded, and
        `Unavailable` for one with `stop_when_lost` while nothing is armed.
        """

    async def arm(self, within_s: float, *, since: float | None = None) -> None:
        """Have all units loaded with `stop_when_lost` stopped `within_s` seconds from now, unless armed again before.

        `since` counts instead of now: a reading of CLOCK_BOOTTIME taken before `within_s` was found, so that a caller
        that was paused in between moves nothing.

        Each is asked to stop as much earlier as its stop may take; what lives at the deadline gets SIGKILL. They end
        as failed, with the result "lost-touch"; they are not started again by themselves, and a start is refused with
        `Unavailable` while nothing is armed. The deadline is on a clock that runs through suspend; it holds when
        whoever armed it is gone and when the supervisor is killed and restarted. The last call counts.
        """

    async def stop(self, name: str) -> None:
        """Queue a stop job and return once accepted; the end is `inactive` or `failed`. Absent units are no error."""

    async def restart(self, name: str) -> None:
        """Queue a stop, then a start. Raises `NotFound` for a unit never loaded."""

    async def unload(self, name: str) -> None:
        """Stop the unit if it runs, then forget it. Returns once accepted; `watch` yields `UnitGone`. Idempotent."""

    async def states(self) -> dict[str, UnitStatus]:
        """Every unit known, by name."""

    def watch(self) -> AsyncIterator[UnitStatus | UnitGone]:
        """Yield every unit's present status, then each change as it happens, for ever.

        Changes that follow each other fast may be merged; the last one always arrives.
        """

    def journal(self, name: str, *, lines: int = 10, follow: bool = False) -> AsyncIterator[str]:
        """Yield the last `lines` lines of the unit and of its supervisor, without line ends; then, with `follow`, new.

        Raises `NotFound` when there is no journal of that name.
        """
