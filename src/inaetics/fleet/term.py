"""A term of office: plan, write, look what came of it, again.

Promises: what it writes fails as a whole once it no longer leads, or when anything it was decided from has changed; no
two writes of engines overlap, not even one whose answer was lost (each asks that the ledger is as the one before left
it); what cannot be written is decided anew from what is then true. Stopping it at any instant leaves a valid state.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog

from inaetics.errors import Conflict, LeaseLost, Unavailable
from inaetics.fleet import keys
from inaetics.fleet.actions import Action, Move, Place, Remove, Update, Withdraw
from inaetics.fleet.attendance import Attendance
from inaetics.fleet.executor import Transaction, transactions
from inaetics.fleet.fold import Change
from inaetics.fleet.garbage import collections
from inaetics.fleet.image_learner import ImageLearner
from inaetics.fleet.mirror import Mirror
from inaetics.fleet.model import Rebalance
from inaetics.fleet.planner import Planner
from inaetics.fleet.requirements import RequirementsCache
from inaetics.fleet.rollout_driver import Rollouts
from inaetics.fleet.settings import EngineSettings
from inaetics.store.protocol import Delete, Leadership, ModIs, Put, Store

_log = structlog.get_logger()

_AGAIN_S = 0.05
"""Pause before a decision is made anew whose ground had changed: the change is on its way to the mirror."""

_LONGEST_PAUSE_S = 2.0
"""The pause doubles up to this while the store refuses to be written at all, as it does when it is full."""


class Term:
    """What the holder of the office does until it is lost."""

    def __init__(
        self,
        store: Store,
        mirror: Mirror,
        leadership: Leadership,
        attendance: Attendance,
        settings: EngineSettings,
    ) -> None:
        self._store = store
        self._mirror = mirror
        self._leadership = leadership
        self._attendance = attendance
        self._settings = settings
        self._cache = RequirementsCache()
        self._planner = Planner(mirror.snapshot, self._cache)
        self._rollouts = Rollouts(store, mirror, leadership)
        self._images = ImageLearner(store, mirror, leadership)
        self._news = asyncio.Event()
        self._ledger_revision = 0
        self._pause_s = _AGAIN_S
        self.on_plan: Callable[[float], object] = lambda seconds: None

    async def lead(self) -> None:
        """Lead, for ever; raises Unavailable when the store does not answer."""
        with self._mirror.listening(self._hear):
            await self._open()
            self._images.hear(None)
            next_pass = self._now() + self._settings.full_pass_s
            while True:
                if self._now() >= next_pass:
                    await self._full_pass()
                    next_pass = self._now() + self._settings.full_pass_s
                self._news.clear()
                await self._plan()
                await self._images.step()
                rollouts_due = await self._rollouts.step()
                await self._wait_for_news(until=min(next_pass, rollouts_due))

    def _hear(self, changes: Sequence[Change] | None) -> None:
        if changes is None:
            self._planner = Planner(self._mirror.snapshot, self._cache)
        else:
            self._planner.changed(changes)
        self._images.hear(changes)
        self._news.set()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def _wait_for_news(self, *, until: float) -> None:
        grace_ends = self._leadership.since + self._settings.grace_s
        wake_at = min(until, grace_ends) if grace_ends > self._now() else until
        with suppress(TimeoutError):
            async with asyncio.timeout_at(wake_at):
                await self._news.wait()

    async def _open(self) -> None:
        """Write the ledger first: what the mirror shows at that revision holds all that earlier leaders wrote."""
        put = Put(key=keys.LEDGER, value=b'{"version":1}')
        try:
            self._ledger_revision = await self._store.commit([put], guards=[self._leadership.guard])
        except Conflict as error:
            raise LeaseLost(f"lost the office before leading: {error}") from error
        await self._mirror.reached(self._ledger_revision)

    async def _full_pass(self) -> None:
        """The safety net: begin from nothing, and collect the files that nobody names."""
        snapshot = self._mirror.snapshot
        self._cache.keep(snapshot.files.keys())
        self._planner = Planner(snapshot, self._cache)
        for ops, guards in collections(snapshot):
            with suppress(Conflict):  # somebody has just submitted one of them again
                await self._store.commit(ops, guards=[self._leadership.guard, *guards])
                _log.info("unused files collected", count=len(ops))

    async def _plan(self) -> None:
        snapshot = self._mirror.snapshot
        lost = self._attendance.lost(
            self._planner.absent_holders(), now=self._now(), leading_since=self._leadership.since
        )
        began = time.perf_counter()
        actions = self._planner.plan(lost=lost)
        self.on_plan(time.perf_counter() - began)
        todo = list(transactions(actions, snapshot, now=time.time()))
        while todo:
            try:
                await self._write(todo[0])
            except (Conflict, Unavailable) as error:
                _log.info("decided anew", actions=sum(len(each.actions) for each in todo), reason=str(error))
                self._planner.again(action.name for each in todo for action in each.actions)
                refused = isinstance(error, Unavailable)
                self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S) if refused else _AGAIN_S
                await self._read_ledger()
                return
            self._pause_s = _AGAIN_S
            todo.pop(0)
        if actions:
            await self._mirror.reached(self._ledger_revision)
        elif rebalance := self._planner.rebalanced():
            await self._end(rebalance)

    async def _end(self, rebalance: Rebalance) -> None:
        """Forget what people asked to be evened out, and now is."""
        unchanged = ModIs(key=keys.REBALANCE, revision=rebalance.revision)
        with suppress(Conflict):  # somebody asked for another one just now
            await self._store.commit([Delete(key=keys.REBALANCE)], guards=[self._leadership.guard, unchanged])
            _log.info("rebalance done", moves=len(rebalance.moves))

    async def _write(self, transaction: Transaction) -> None:
        ledger = Put(key=keys.LEDGER, value=b'{"version":1}')
        unchanged = ModIs(key=keys.LEDGER, revision=self._ledger_revision)
        guards = [self._leadership.guard, unchanged, *transaction.guards]
        self._ledger_revision = await self._store.commit([*transaction.ops, ledger], guards=guards)
        for action in transaction.actions:
            self._tell(action)

    def _tell(self, action: Action) -> None:
        before = None if isinstance(action, Place) else action.placement.machine_name
        after = self._mirror.snapshot.machines.get(action.machine) if isinstance(action, Place | Move) else None
        _log.info(
            _EVENTS[type(action)],
            unit=action.name,
            machine=after.name if after else before,
            left=before if isinstance(action, Move) else None,
            reason=action.reason,
            revision=self._ledger_revision,
        )

    async def _read_ledger(self) -> None:
        """Find out what was written last, whatever answers were lost, and wait until the mirror shows it."""
        self._news.set()
        await asyncio.sleep(self._pause_s)
        item = await self._store.get(keys.LEDGER)
        if item is None:
            raise Unavailable(f"cannot lead: {keys.LEDGER} is gone from the store; standing for the office again")
        self._ledger_revision = item.mod_revision
        await self._mirror.reached(self._ledger_revision)


_EVENTS: dict[type[Action], str] = {
    Place: "unit placed",
    Move: "unit moved",
    Update: "placement updated",
    Withdraw: "unit withdrawn",
    Remove: "placement removed",
}
