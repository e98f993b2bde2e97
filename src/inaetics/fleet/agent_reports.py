"""What a machine says of itself and its units, written under the machine's lease.

Promises: whoever sees the machine's key sees no report from before: everything is written anew under a new lease, the
reports first, the machine last, with a new incarnation; reports that are due together go in one transaction, which
fails as a whole once the machine's key is not the one this agent wrote.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import replace

import structlog

from inaetics.errors import Conflict, LeaseLost, Unavailable
from inaetics.fleet import keys, mapper
from inaetics.fleet.model import Machine, UnitName, UnitState
from inaetics.fleet.settings import AgentSettings
from inaetics.store.background import beside
from inaetics.store.protocol import MAX_OPS, Delete, Lease, ModIs, Op, Put, Store, chunks

_log = structlog.get_logger()

_AT_REST = frozenset({"active", "inactive", "failed"})
_SIGN_OFF_S = 2.0
_UNCERTAIN = b""
"""Stands for a value that may or may not have been written."""


class Reports:
    """Keeps the store in step with what `tell` said last of each unit, for as long as `run` runs.

    `while_listed` runs while the machine's key stands under the lease it is called with.
    """

    def __init__(
        self,
        store: Store,
        machine: Machine,
        settings: AgentSettings,
        while_listed: Callable[[Lease], Coroutine[None, None, None]],
    ) -> None:
        self._store = store
        self._machine = machine
        self._settings = settings
        self._while_listed = while_listed
        self._said: dict[UnitName, UnitState] = {}
        self._due: dict[UnitName, float] = {}
        self._untold_since: dict[UnitName, float] = {}
        self._written: dict[UnitName, bytes] = {}
        self._machine_revision = 0
        self._machine_changed = False
        self._told = asyncio.Event()
        self.listed = asyncio.Event()
        """Set while the machine's key stands."""

    def tell(self, unit: UnitName, state: UnitState | None, *, passing: bool = False) -> None:
        """Have this written soon; None: no record stands. The last word counts.

        `passing` says that it does not show yet what was just begun: it waits for that, within reason.
        """
        if self._said.get(unit) == state:
            return
        if state is None:
            del self._said[unit]
        else:
            self._said[unit] = state
        now = asyncio.get_running_loop().time()
        untold_since = self._untold_since.setdefault(unit, now)
        latest = untold_since + (self._settings.unseen_delay_s if passing else self._settings.passing_delay_s)
        at_rest = (state is None or state.active in _AT_REST) and not passing
        self._due[unit] = min(now + self._settings.settled_delay_s, latest) if at_rest else latest
        self._told.set()

    def tell_disk(self, low: str) -> None:
        """Have the machine's own key say how little room its disk has left; empty: it has enough."""
        self._machine = replace(self._machine, low_disk=low)
        self._machine_changed = True
        self._told.set()

    async def run(self) -> None:
        """Register the machine and report, for ever; after a lost lease everything once more."""
        while True:
            try:
                await self._report_under_lease()
            except Unavailable as error:  # LeaseLost is one
                _log.warning("machine is not listed", machine=self._machine.name, reason=str(error))
            except Conflict as error:
                _log.warning("somebody else wrote this machine's key", machine=self._machine.name, reason=str(error))
            self.listed.clear()
            await asyncio.sleep(self._settings.retry_s)

    async def sign_off(self) -> None:
        """Take the machine and its reports off the store at once, if it can be told soon; else the lease's end does."""
        if not self._machine_revision:
            return
        machine = keys.machine(self._machine.id)
        ops = [Delete(key=machine), Delete(key=keys.states_of(self._machine.id), prefix=True)]
        try:
            async with asyncio.timeout(_SIGN_OFF_S):
                await self._store.commit(ops, guards=[ModIs(key=machine, revision=self._machine_revision)])
        except (Unavailable, Conflict, TimeoutError) as error:
            _log.info("machine stays listed until its lease ends", machine=self._machine.name, reason=str(error))

    async def _report_under_lease(self) -> None:
        async with (
            # Not revoked: what ends this block may be an answer that was lost, and the next one takes the keys over.
            self._store.lease(self._settings.lease_ttl_s, revoke=False) as lease,
            beside(_raise_when_lost(lease), name="machine: lease"),
        ):
            await self._report(lease)

    async def _report(self, lease: Lease) -> None:
        await self._write_everything(lease)
        self.listed.set()
        async with beside(self._while_listed(lease), name="machine: listed"):
            await self._report_what_is_due(lease)

    async def _report_what_is_due(self, lease: Lease) -> None:
        while True:
            await self._wait_until_due()
            if self._machine_changed:
                await self._write_machine(lease)
            now = asyncio.get_running_loop().time()
            due = [unit for unit, at in self._due.items() if at <= now]
            for unit in due:
                del self._due[unit], self._untold_since[unit]
            for start in range(0, len(due), MAX_OPS):
                await self._write(due[start : start + MAX_OPS], lease)
            await asyncio.sleep(self._settings.pause_s(len(due)))

    async def _wait_until_due(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._told.clear()
            first = min(self._due.values(), default=None)
            if self._machine_changed or (first is not None and first <= loop.time()):
                return
            with suppress(TimeoutError):
                async with asyncio.timeout_at(first):
                    await self._told.wait()

    async def _write_everything(self, lease: Lease) -> None:
        """Take the place of whatever an earlier incarnation left; the machine's own key comes last."""
        self._due.clear()
        self._untold_since.clear()
        self._written = {}
        listing = await self._store.list(keys.states_of(self._machine.id))
        before = {keys.on_machine(item.key.removeprefix(keys.STATES))[1] for item in listing.items}
        ops: list[Op] = [Delete(key=self._key(unit)) for unit in sorted(before - self._said.keys())]
        for unit, state in sorted(self._said.items()):
            value = self._written[unit] = mapper.state_value(state)
            ops.append(Put(key=self._key(unit), value=value, lease=lease.id))
        for some in chunks(ops):
            await self._store.commit(some)
        machine = self._machine = replace(self._machine, incarnation=uuid.uuid4().hex)
        self._machine_changed = False
        put = Put(key=keys.machine(machine.id), value=mapper.machine_value(machine), lease=lease.id)
        self._machine_revision = await self._store.commit([put])
        _log.info("machine is listed", machine=machine.name, incarnation=machine.incarnation, units=len(self._said))

    async def _write_machine(self, lease: Lease) -> None:
        """Write the machine's key once more, same incarnation. Where the answer is lost, everything is written anew."""
        self._machine_changed = False
        key = keys.machine(self._machine.id)
        put = Put(key=key, value=mapper.machine_value(self._machine), lease=lease.id)
        self._machine_revision = await self._store.commit(
            [put], guards=[ModIs(key=key, revision=self._machine_revision)]
        )

    async def _write(self, units: Sequence[UnitName], lease: Lease) -> None:
        """Write what was said of `units`; a store that does not answer is asked again while the lease lasts."""
        values = {unit: mapper.state_value(self._said[unit]) if unit in self._said else None for unit in units}
        news = {unit: value for unit, value in values.items() if self._written.get(unit) != value}
        if not news:
            return
        guard = ModIs(key=keys.machine(self._machine.id), revision=self._machine_revision)
        ops = [self._op(unit, value, lease) for unit, value in news.items()]
        try:
            await self._store.commit(ops, guards=[guard])
        except LeaseLost:
            raise
        except Unavailable as error:
            _log.debug("reports wait", units=len(news), reason=str(error))
            await asyncio.sleep(self._settings.retry_s)
            for unit in news:
                self._written[unit] = _UNCERTAIN
                self._due.setdefault(unit, 0.0)
                self._untold_since.setdefault(unit, 0.0)
            return
        for unit, value in news.items():
            if value is None:
                self._written.pop(unit, None)
            else:
                self._written[unit] = value

    def _op(self, unit: UnitName, value: bytes | None, lease: Lease) -> Op:
        if value is None:
            return Delete(key=self._key(unit))
        return Put(key=self._key(unit), value=value, lease=lease.id)

    def _key(self, unit: UnitName) -> str:
        return keys.state(self._machine.id, unit)


async def _raise_when_lost(lease: Lease) -> None:
    await lease.wait_lost()
    raise LeaseLost(f"the machine's lease could not be renewed within {lease.ttl_s:g} s")
