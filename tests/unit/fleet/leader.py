"""A leader over a `World`: what it plans, writes and does again after an interruption, until nothing is left to do."""

from __future__ import annotations

from dataclasses import dataclass, field

from inaetics.fleet import keys
from inaetics.fleet.actions import Action
from inaetics.fleet.executor import Transaction, transactions
from inaetics.fleet.model import (
    MachineId,
)
from inaetics.fleet.planner import Planner
from inaetics.store.protocol import Delete, ModIs
from tests.unit.fleet.world import World


@dataclass
class Leader:
    """An engine's leader without its loop: plans from what it has heard, commits one transaction at a time."""

    world: World
    lost: frozenset[MachineId] = frozenset()
    per_transaction: int = 1
    pending: list[Transaction] = field(default_factory=list)
    _planner: Planner | None = None

    def plan(self) -> list[Action]:
        """Hear all that happened, and plan."""
        if self._planner is None:
            self._planner = Planner(self.world.snapshot)
        else:
            self._planner.changed(self.world.changes)
        self.world.changes.clear()
        if self.pending:
            self.again()
        self.world.counted_lost = self.lost & self.world.absent_holders()
        actions = self._planner.plan(lost=self.world.counted_lost)
        rebalanced = self._planner.rebalanced()
        if rebalanced and not actions:
            self.world.commit([Delete(key=keys.REBALANCE)], [ModIs(key=keys.REBALANCE, revision=rebalanced.revision)])
        size = self.per_transaction
        for start in range(0, len(actions), size):
            self.pending += transactions(actions[start : start + size], self.world.snapshot, now=1.0)
        return actions

    def again(self) -> None:
        """Give up what was not committed."""
        assert self._planner is not None
        self._planner.again(action.name for each in self.pending for action in each.actions)
        self.pending.clear()

    def commit(self) -> bool:
        """Write the next transaction; False where there is none, or where its ground has changed."""
        if not self.pending:
            return False
        transaction = self.pending.pop(0)
        if self.world.commit(transaction.ops, transaction.guards, judged=True):
            return True
        self.pending.insert(0, transaction)
        self.plan()
        return False

    def succeed(self) -> None:
        """Another one takes over, who knows only what is stored."""
        self.pending.clear()
        self._planner = None
        self.world.changes.clear()


def settle(world: World, leader: Leader, machines: int, *, agents: bool = True, rounds: int = 60) -> None:
    """Let the leader, and all agents unless told otherwise, work until nothing is left to do."""
    for _ in range(rounds):
        leader.plan()
        busy = bool(leader.pending)
        while leader.pending:
            leader.commit()
        for number in range(1, machines + 1) if agents else ():
            busy |= world.act(number)
        if not busy:
            return
    raise AssertionError(f"not at rest after {rounds} rounds: {leader.plan()}")
