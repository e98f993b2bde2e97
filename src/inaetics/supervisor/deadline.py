"""Units that run only while the machine is in touch with its fleet: the deadline by which they have stopped.

Promises: no process of such a unit lives past the deadline, SIGKILL included, whoever armed it is gone or hangs, and
also when this supervisor was killed: the deadline is on disk before it counts, on a clock that runs through suspend,
and a supervisor that comes back looks at it before it does anything else. What is on disk and makes no sense counts
as a deadline that has passed.
"""

from __future__ import annotations

import asyncio
import math
import os
from binascii import crc32
from collections.abc import Mapping
from enum import Enum
from pathlib import Path

import structlog

from inaetics.errors import Unavailable
from inaetics.supervisor import linux
from inaetics.supervisor.unit import Unit, clock
from inaetics.supervisor.values import LostTouch, Sub

_log = structlog.get_logger()

_MESSAGE = "stopped, because its machine was out of touch with the fleet (OnLost=stop)"
_PASSED = -math.inf
_LINE_BYTES = 48
"""One write of so little is whole or not there, also when the writer is killed."""


class May(Enum):
    """What a unit may do at a given instant."""

    RUN = "run"
    STOP = "stop"
    DIE = "die"


def verdict(now: float, deadline: float, stop_s: float) -> May:
    """Say what a unit whose stop may take `stop_s` may do: stop before the deadline, be dead at it."""
    if now >= deadline:
        return May.DIE
    return May.RUN if now < deadline - stop_s else May.STOP


class Deadline:
    """The deadline of one run directory's `units`, kept in `path`."""

    def __init__(self, path: Path, units: Mapping[str, Unit]) -> None:
        self._path = path
        self._units = units
        self._at: float | None = None
        self._timer = -1

    def arm(self, at: float) -> None:
        """Move the deadline to `at` (CLOCK_BOOTTIME). Raises `Unavailable` when that cannot be kept on disk."""
        try:
            _write(self._path, at)
        except OSError as error:
            raise Unavailable(f"cannot keep the deadline of units with OnLost=stop on disk: {error}") from error
        self._at = at
        self.look()

    def restore(self) -> None:
        """Take up the deadline of an earlier supervisor: `restrain` and then `look` must follow."""
        try:
            self._at = _read(self._path)
        except (OSError, ValueError) as error:
            _log.error("deadline counts as passed", path=str(self._path), reason=str(error))
            self._at = _PASSED

    def allows(self, unit: Unit) -> bool:
        """Whether `unit` may be started now."""
        if not unit.stop_when_lost:
            return True
        return self._at is not None and verdict(clock(), self._at, unit.stop_s) is May.RUN

    def check(self, unit: Unit) -> None:
        """Raise `Unavailable` unless `unit` may be started now."""
        if not self.allows(unit):
            raise Unavailable(
                f"cannot start {unit.name!r}: it has OnLost=stop, and its machine is out of touch with the fleet"
                " (its agent starts it when the fleet answers)"
            )

    def restrain(self, unit: Unit) -> None:
        """See to it that `unit`, which an earlier supervisor ran, does nothing but stop when it may not go on."""
        if unit.stop_when_lost and self._verdict(unit) is not May.RUN:
            unit.restrain(_MESSAGE)

    def look(self, *, again: bool = False) -> None:
        """Stop what may not go on, and come back when that changes; `again`: also what was killed already."""
        concerned = [unit for unit in self._units.values() if unit.stop_when_lost]
        for unit in concerned:
            may = May.RUN if unit.is_over else self._verdict(unit)
            if may is May.DIE and (again or unit.state.sub is not Sub.FINAL_SIGKILL):
                unit.dispatch(LostTouch(_MESSAGE, at_once=True))
            elif may is May.STOP:
                unit.dispatch(LostTouch(_MESSAGE, at_once=False))
        self._come_back(concerned)

    def close(self) -> None:
        """Look no more."""
        if self._timer >= 0:
            asyncio.get_running_loop().remove_reader(self._timer)
            os.close(self._timer)
            self._timer = -1

    def _verdict(self, unit: Unit) -> May:
        """A unit that ran before anything was ever armed (it had other content then) goes on until something is."""
        return May.RUN if self._at is None else verdict(clock(), self._at, unit.stop_s)

    def _come_back(self, units: list[Unit]) -> None:
        if self._at is None or not units:
            return
        now = clock()
        times = [time for unit in units for time in (self._at - unit.stop_s, self._at) if time > now]
        if not times:
            return
        if self._timer < 0:
            self._timer = linux.boottime_timer()
            asyncio.get_running_loop().add_reader(self._timer, self._time_is_up)
        linux.set_timer(self._timer, min(times))

    def _time_is_up(self) -> None:
        try:
            os.read(self._timer, 8)
        except BlockingIOError:
            return  # it was set anew in between
        self.look()


def _read(path: Path) -> float | None:
    """Return the deadline, None when none was ever armed. Raises OSError, ValueError."""
    try:
        line = path.read_bytes()
    except FileNotFoundError:
        return None
    checksum, _, number = line.partition(b" ")
    if len(line) != _LINE_BYTES or checksum != b"%08x" % crc32(number):
        raise ValueError("it is damaged")
    return float(number)


def _write(path: Path, at: float) -> None:
    number = repr(at).encode().ljust(_LINE_BYTES - 10) + b"\n"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        written = os.pwrite(fd, b"%08x %s" % (crc32(number), number), 0)
    finally:
        os.close(fd)
    if written != _LINE_BYTES:
        raise OSError("the disk took a part of it")
