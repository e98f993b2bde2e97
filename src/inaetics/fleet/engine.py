"""The engine's candidate: watches the machines, stands for the office, and leads for as long as it holds it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from inaetics.errors import Unavailable
from inaetics.fleet import keys
from inaetics.fleet.attendance import Attendance
from inaetics.fleet.fold import Change, MachineChanged, StateChanged
from inaetics.fleet.mirror import Mirror
from inaetics.fleet.model import Machine, UnitState
from inaetics.fleet.roll_call import RollCall
from inaetics.fleet.settings import EngineSettings
from inaetics.fleet.term import Term
from inaetics.store.background import beside
from inaetics.store.protocol import Store

_log = structlog.get_logger()

_AGAIN_S = 0.25

_WAITED_FOR = "it was not heard since this process began, so it may be booting yet"


class Engine:
    """A candidate called `candidate`, over a mirror that somebody else runs.

    `on_plan` is told how long each decision took, in seconds.
    """

    def __init__(
        self,
        store: Store,
        mirror: Mirror,
        *,
        candidate: str,
        settings: EngineSettings | None = None,
        on_plan: Callable[[float], object] | None = None,
    ) -> None:
        self._store = store
        self._mirror = mirror
        self._candidate = candidate
        self._settings = settings or EngineSettings()
        self._on_plan = on_plan
        self._attendance = Attendance(self._settings.grace_s)
        self._roll_call = RollCall(store, self._attendance)

    async def run(self) -> None:
        """Stand for the office and lead, for ever. A store that does not answer ends a term, not this."""
        self._hear(None)
        with self._mirror.listening(self._hear):
            async with beside(self._roll_call.run(), name="engine: roll call"):
                await self._stand_and_lead()

    async def _stand_and_lead(self) -> None:
        while True:
            try:
                await self._lead_once()
            except Unavailable as error:  # LeaseLost is one
                _log.warning("engine leads no more", candidate=self._candidate, reason=str(error))
            await asyncio.sleep(_AGAIN_S)

    async def _lead_once(self) -> None:
        ttl_s = self._settings.lease_ttl_s
        async with self._store.lead(keys.ELECTION, self._candidate, ttl_s=ttl_s) as leadership:
            _log.info("engine leads", candidate=self._candidate, revision=leadership.create_revision)
            term = Term(self._store, self._mirror, leadership, self._attendance, self._settings)
            if self._on_plan is not None:
                term.on_plan = self._on_plan
            await term.lead()

    def _hear(self, changes: Sequence[Change] | None) -> None:
        """Note who comes, speaks and goes, leader or not: a witness need not wait when it takes over."""
        now = asyncio.get_running_loop().time()
        if changes is None:
            machines = self._mirror.snapshot.machines
            self._attendance.listed({machine: each.lease for machine, each in machines.items()}, now)
            self._roll_call.begin()
            return
        for change in changes:
            match change:
                case MachineChanged(id=machine, old=Machine() as old, new=None):
                    if not self._attendance.left(machine, now):
                        _log.info("machine is waited for", machine=old.name, reason=_WAITED_FOR)
                case MachineChanged(id=machine, old=old, new=Machine() as new):
                    if old is None or old.revision != new.revision:
                        self._attendance.arrived(machine, new.lease)
                case StateChanged(machine=machine, new=UnitState(lease=lease)):
                    self._attendance.heard(machine, lease)
                case _:
                    pass
