"""What the host's supervisor has, as an agent knows it: followed by a watch, checked by asking for everything.

Promises: a unit counts as gone only when the supervisor said so after everything that was done to the unit: what was
asked before something was done or heard says nothing about it. System units are none of the fleet's business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import structlog

from inaetics.errors import Unavailable
from inaetics.fleet.agent_plan import NOTHING, Seen
from inaetics.fleet.model import UnitName
from inaetics.fleet.settings import AgentSettings
from inaetics.supervisor.protocol import Supervisor, UnitGone, UnitStatus
from inaetics.tasks import TaskGroup

_log = structlog.get_logger()


class Host:
    """Calls `changed` with the name of each unit of which something new is known."""

    def __init__(self, supervisor: Supervisor, changed: Callable[[UnitName], None], settings: AgentSettings) -> None:
        self._supervisor = supervisor
        self._changed = changed
        self._settings = settings
        self._seen: dict[UnitName, Seen] = {}
        self._heard: dict[UnitName, int] = {}
        self._recheck = asyncio.Event()
        self._asking = asyncio.Lock()
        self._asked = 0
        self.known = asyncio.Event()
        """Set once the supervisor has said what it has."""

    @property
    def units(self) -> frozenset[UnitName]:
        return frozenset(self._seen)

    def seen(self, unit: UnitName) -> Seen:
        return self._seen.get(unit, NOTHING)

    def loaded(self, unit: UnitName) -> None:
        """Note that the supervisor has accepted the unit."""
        if not self.seen(unit).known:
            self._set(unit, Seen(known=True))

    async def follow(self) -> None:
        """Follow the supervisor, for ever; its absence is waited out."""
        async with TaskGroup() as group:
            group.create_task(self._watch(), name="supervisor: watch")
            group.create_task(self._check(), name="supervisor: check")

    async def ask(self) -> None:
        """Have the supervisor say what it has, now; those who ask at the same time share an answer younger than all."""
        asked_before = self._asked
        async with self._asking:
            if self._asked > asked_before + 1:
                return
            await self._ask()

    async def _ask(self) -> None:
        self._asked += 1
        heard_before = dict(self._heard)
        statuses = await self._supervisor.states()
        self._asked += 1
        for name, status in statuses.items():
            unit = UnitName(name)
            if self._heard.get(unit) == heard_before.get(unit):
                self._take(status)
        for unit in self._seen.keys() - statuses.keys():
            if self._heard.get(unit) == heard_before.get(unit):
                self._gone(unit)
        self.known.set()

    async def _watch(self) -> None:
        while True:
            self._recheck.set()
            try:
                first = True
                async for event in self._supervisor.watch():
                    if first:  # from here on nothing is missed: what was missed before is found by asking
                        self._recheck.set()
                        first = False
                    match event:
                        case UnitStatus():
                            self._take(event)
                        case UnitGone():
                            self._gone(UnitName(event.name))
            except Unavailable as error:
                _log.warning("supervisor does not answer", reason=str(error))
            await asyncio.sleep(self._settings.retry_s)

    async def _check(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.full_pass_s):
                    await self._recheck.wait()
            self._recheck.clear()
            try:
                await self.ask()
            except Unavailable as error:
                _log.debug("supervisor was not asked", reason=str(error))
                self._recheck.set()
                await asyncio.sleep(self._settings.retry_s)

    def _take(self, status: UnitStatus) -> None:
        if not status.system:
            self._set(UnitName(status.name), Seen(status=status, known=True))

    def _gone(self, unit: UnitName) -> None:
        if self._seen.pop(unit, None):
            self._heard[unit] = self._heard.get(unit, 0) + 1
            self._changed(unit)

    def _set(self, unit: UnitName, seen: Seen) -> None:
        self._heard[unit] = self._heard.get(unit, 0) + 1
        if self._seen.get(unit) != seen:
            self._seen[unit] = seen
            self._changed(unit)
