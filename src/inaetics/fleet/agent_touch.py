"""Keeps the host's supervisor armed for as long as the machine holds its lease: the agent's part of `OnLost=stop`.

Promises: a deadline counts from the sending of the renewal that it follows, less the time the machine was suspended
since; it is moved only while the machine's key stands under that lease. `held` is true only while such a deadline
stands, so that a unit is never started on the word of an old placement. Where no unit needs it, it costs nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from inaetics.errors import Unavailable
from inaetics.fleet.in_touch import TouchTimes
from inaetics.fleet.model import UnitName
from inaetics.store.protocol import Lease
from inaetics.supervisor.protocol import Supervisor

_log = structlog.get_logger()


class Touch:
    """Calls `regained` whenever `held` becomes true."""

    def __init__(self, supervisor: Supervisor, times: TouchTimes, regained: Callable[[], None]) -> None:
        self._supervisor = supervisor
        self._times = times
        self._regained = regained
        self._some = asyncio.Event()
        self._suspended_s = _suspended_s()
        self.held = False
        self.units: set[UnitName] = set()
        """The units that are stopped when touch is lost."""

    def concern(self, unit: UnitName, *, stops: bool) -> None:
        """Note whether `unit` is stopped when touch is lost."""
        if stops:
            self.units.add(unit)
            self._some.set()
        else:
            self.units.discard(unit)
            if not self.units:
                self._some.clear()

    async def hold(self, lease: Lease) -> None:
        """Arm after each renewal of `lease`, under which the machine's key stands; until cancelled."""
        try:
            while True:
                if not self._some.is_set():
                    self.held = False
                    lease.renew_every(lease.ttl_s)
                    await self._some.wait()
                lease.renew_every(self._times.renew_every_s)
                await self._arm(lease)
                await lease.wait_renewed()
        finally:
            self.held = False

    async def _arm(self, lease: Lease) -> None:
        since = time.clock_gettime(time.CLOCK_BOOTTIME)  # first: a pause before `left_s` was found counts as passed
        before, self._suspended_s = self._suspended_s, _suspended_s()
        left_s = lease.deadline - asyncio.get_running_loop().time()
        within_s = left_s - self._times.margin_s - (self._suspended_s - before)
        if within_s <= 0:  # answered too late; the deadline before stands
            self.held = False
            return
        try:
            await self._supervisor.arm(within_s, since=since)
        except Unavailable as error:
            self.held = False
            _log.warning("deadline not moved", units=len(self.units), reason=str(error))
            return
        if not self.held:
            self.held = True
            self._regained()


def _suspended_s() -> float:
    """How long the machine was suspended since its boot."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
