"""Noticing that a service fell silent: it has to say WATCHDOG=1 more often than WatchdogSec=."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable


class Watchdog:
    """Calls `bark` once when nothing was heard for too long. A word costs a reading of the clock, no timer."""

    def __init__(self, bark: Callable[[], None]) -> None:
        self._bark = bark
        self._within_s = math.inf
        self._heard_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, within_s: float) -> None:
        """Begin to watch, unless it is done already; `math.inf` is for services that need not say anything."""
        if self._timer is None and math.isfinite(within_s):
            self._within_s = within_s
            self.heard()
            self._look_in(within_s)

    def change(self, within_s: float) -> None:
        """Take another time from now on, as WATCHDOG_USEC= asks."""
        if self._timer is not None:
            self.stop()
            self.watch(within_s)

    def heard(self) -> None:
        """The service said that it is well."""
        self._heard_at = asyncio.get_running_loop().time()

    def stop(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_in(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        left = self._heard_at + self._within_s - asyncio.get_running_loop().time()
        if left > 0:
            self._look_in(left)
        else:
            self._timer = None
            self._bark()
