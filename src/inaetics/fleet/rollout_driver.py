"""Carries rollouts out within a term of office.

Promises: every write is guarded by the leader's office, the rollout's record and the units it changes, so that nothing
is done twice and nothing of somebody else's is overwritten. What it remembers is only how long reports have stood:
whoever leads next waits a little longer, and comes to the same end.
"""

from __future__ import annotations

import asyncio
import time

import structlog

from inaetics.errors import Conflict, Unavailable
from inaetics.fleet import keys, mapper, rollout_record
from inaetics.fleet.mirror import Mirror
from inaetics.fleet.rollout import Rollout
from inaetics.fleet.rollout_plan import Advance, Write, advance, due_in
from inaetics.fleet.rollout_standing import Standing
from inaetics.store.protocol import Guard, Leadership, ModIs, Op, Put, Store

_log = structlog.get_logger()

_AGAIN_S = 0.2


class Rollouts:
    """Of one term: `step` is called after each plan, and says when to be called again at the latest."""

    def __init__(self, store: Store, mirror: Mirror, leadership: Leadership) -> None:
        self._store = store
        self._mirror = mirror
        self._guard = leadership.guard
        self._standing = Standing()

    async def step(self) -> float:
        """Write what is due of every rollout; returns the loop-clock instant of the next look, infinity for none."""
        loop = asyncio.get_running_loop()
        running = self._running()
        if not running:
            return float("inf")
        try:
            for rollout in running:
                await self._advance(rollout)
        except (Conflict, Unavailable) as error:
            _log.info("rollout looked at again", reason=str(error))
            return loop.time() + _AGAIN_S
        snapshot = self._mirror.snapshot
        due = [due_in(snapshot, rollout, standing=self._standing) for rollout in self._running()]
        return loop.time() + min(due, default=float("inf"))

    def _running(self) -> list[Rollout]:
        running = [rollout for rollout in self._mirror.snapshot.rollouts.values() if rollout.runs]
        steps = [step for rollout in running for step in rollout.steps]
        self._standing.look(self._mirror.snapshot, steps, asyncio.get_running_loop().time())
        return sorted(running, key=lambda rollout: (rollout.started_at, rollout.id))

    async def _advance(self, rollout: Rollout) -> None:
        """Write all that can be written of one rollout now."""
        todo = advance(self._mirror.snapshot, rollout, now=time.time(), standing=self._standing)
        if todo is None:
            return
        ops, guards = transaction(todo)
        revision = await self._store.commit(ops, guards=[self._guard, *guards])
        _log.info(
            "rollout goes on",
            rollout=rollout.id,
            target=rollout.target,
            phase=todo.rollout.phase.value,
            reason=todo.rollout.reason or None,
            changed=[write.unit.name for write in todo.writes],
            revision=revision,
        )
        await self._mirror.reached(revision)


def transaction(todo: Advance) -> tuple[list[Op], list[Guard]]:
    """What one step writes, and what must still be as it was."""
    record = Put(key=keys.rollout(todo.before.id), value=rollout_record.value(todo.rollout))
    guards: list[Guard] = [ModIs(key=keys.rollout(todo.before.id), revision=todo.before.revision)]
    guards += [ModIs(key=keys.unit(write.unit.name), revision=write.unit.revision) for write in todo.writes]
    return [record, *(_put(write) for write in todo.writes)], guards


def _put(write: Write) -> Put:
    unit = write.unit
    value = mapper.unit_value(write.content_hash, unit.desired, unit.generation + 1, write.image)
    return Put(key=keys.unit(unit.name), value=value)
