"""Whether the store still answers, and who leads the engine: asked every few seconds, so that no request has to.

The mirror cannot know: a store where nothing changes is as quiet as one that is gone.
"""

from __future__ import annotations

import asyncio

import structlog

from inaetics.errors import Unavailable
from inaetics.fleet import keys
from inaetics.store.protocol import Store

EVERY_S = 3.0
VACANT_EVERY_S = 0.5
"""While nobody leads, or the store is silent: the end of either is worth seeing soon."""
WITHIN_S = 2.0
"""A three-member etcd elects a new leader in less."""

LEADERLESS_S = 6.0
"""For so long the engine's office may be vacant before anybody is told: a killed leader's lease ends in less."""

_log = structlog.get_logger()


class Pulse:
    """Follows the store's pulse while `run` runs. `leader` is who held the engine's office when last asked."""

    def __init__(self, store: Store, *, every_s: float = EVERY_S, within_s: float = WITHIN_S) -> None:
        self._store = store
        self._every_s = every_s
        self._within_s = within_s
        self._last = 0.0
        self._why: str | None = None
        self._led = 0.0
        self.leader: str | None = None

    @property
    def stale(self) -> str | None:
        """Why what is shown may be out of date; None while the store answers."""
        if self._why is None:
            return None
        return f"the store has been silent for {self.silent_s:.0f} s: {self._why}"

    @property
    def silent_s(self) -> float:
        """Seconds since the store last answered; 0 while it does."""
        return asyncio.get_running_loop().time() - self._last if self._why is not None else 0.0

    @property
    def leaderless(self) -> bool:
        """Has nobody led the engine for a while?"""
        return self.leader is None and asyncio.get_running_loop().time() - self._led > LEADERLESS_S

    def lost(self, why: str) -> None:
        """Say that the store does not answer as it should."""
        if self._why is None:
            _log.warning("store silent", reason=why)
        self._why = why

    async def run(self) -> None:
        """Ask until cancelled."""
        self._last = self._led = asyncio.get_running_loop().time()
        while True:
            await self.beat()
            await asyncio.sleep(self._every_s if self.leader and self._why is None else VACANT_EVERY_S)

    async def beat(self) -> None:
        """Ask once."""
        try:
            async with asyncio.timeout(self._within_s):
                self.leader = await self._store.leader(keys.ELECTION)
        except (Unavailable, TimeoutError) as error:
            self.lost(str(error) or "no answer in time")
        else:
            if self._why is not None:
                _log.info("store answers again", after_s=round(self.silent_s, 1))
            self._why = None
            self._last = asyncio.get_running_loop().time()
            if self.leader is not None:
                self._led = self._last
