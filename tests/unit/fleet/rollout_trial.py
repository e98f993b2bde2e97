"""A rollout to try: a template with instances, machines on which new content meets its fate, and leaders."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from hypothesis import strategies as st

from inaetics.fleet import keys, mapper, rollout_record
from inaetics.fleet.executor import transactions
from inaetics.fleet.model import Desired, Placement, Unit, UnitName, UnitState
from inaetics.fleet.planner import plan
from inaetics.fleet.rollout import Rollout
from inaetics.fleet.rollout_draft import draft
from inaetics.fleet.rollout_driver import transaction
from inaetics.fleet.rollout_plan import Advance, advance
from inaetics.fleet.rollout_standing import Standing
from inaetics.store.protocol import Put
from tests.unit.fleet.world import World

TEMPLATE = UnitName("a@.service")
AFTER_S = 2.0
TICK_S = 0.5


def content(word: str, *options: str) -> str:
    return "\n".join(
        (
            "[Service]",
            f"ExecStart=/bin/{word}",
            "TimeoutStartSec=3",
            "TimeoutStopSec=1",
            "[X-Fleet]",
            f"HealthyAfterSec={AFTER_S:g}",
            *options,
            "",
        )
    )


OLD, NEW = content("old"), content("new")
OLD_HASH, NEW_HASH = mapper.content_hash(OLD), mapper.content_hash(NEW)


@dataclass
class Trial:
    """A template with instances, machines that start what they get, and a clock."""

    count: int
    at_once: int = 1
    fates: dict[str, str] = field(default_factory=dict)
    """Unit → what the new content leads to there; the old one is always well."""
    desired: dict[str, Desired] = field(default_factory=dict)
    world: World = field(default_factory=World)
    now: float = 1000.0
    standing: Standing = field(default_factory=Standing)
    begun: dict[UnitName, tuple[int, float]] = field(default_factory=dict)
    """Unit → (revision of the placement carried out, when)."""
    written: dict[UnitName, float] = field(default_factory=dict)
    well_since: dict[UnitName, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for number in (1, 2, 3):
            self.world.up(number)
        self.world.submit(TEMPLATE, OLD, Desired.INACTIVE)
        for name in self.names:
            self.world.submit(name, OLD, self.desired.get(name, Desired.LAUNCHED))
        for _ in range(3):
            self.turn()

    @classmethod
    def of(cls, some: Sequence[tuple[str, Desired]], *, at_once: int) -> Self:
        """Instances with these fates and desired states."""
        named = {f"a@{number}.service": each for number, each in enumerate(some, 1)}
        return cls(
            len(some),
            at_once=at_once,
            fates={name: fate for name, (fate, _) in named.items()},
            desired={name: desired for name, (_, desired) in named.items()},
        )

    @property
    def names(self) -> list[UnitName]:
        return [UnitName(f"a@{number}.service") for number in range(1, self.count + 1)]

    @property
    def rollout(self) -> Rollout:
        [rollout] = self.world.snapshot.rollouts.values()
        return rollout

    def hashes(self) -> set[str]:
        return {self.world.snapshot.units[name].content_hash for name in self.names}

    def begin(self) -> None:
        made = draft(
            self.world.snapshot, TEMPLATE, NEW_HASH, rollout_id="r", at_once=self.at_once, by="test", now=self.now
        )
        ops = [
            Put(key=keys.file(NEW_HASH), value=mapper.file_value(NEW)),
            Put(key=keys.rollout("r"), value=rollout_record.value(made)),
        ]
        self.world.commit(ops)

    # What happens by itself.

    def turn(self) -> None:
        """The engine places, machines start and report, half a second passes."""
        for each in transactions(plan(self.world.snapshot), self.world.snapshot, now=self.now):
            self.world.commit(each.ops, each.guards)
        for placement in list(self.world.snapshot.placements.values()):
            self._report(placement)
        self.now += TICK_S
        for name in self.names:
            unit = self.world.snapshot.units.get(name)
            if not unit or not self._is_well(unit):
                self.well_since.pop(name, None)
            else:
                self.well_since.setdefault(name, self.now)

    def _report(self, placement: Placement) -> None:
        name = placement.unit
        begun = self.begun.get(name)
        if begun is None or begun[0] != placement.revision:
            begun = self.begun[name] = (placement.revision, self.now)
        fate = self.fates.get(name, "well") if self.is_new(placement) else "well"
        if placement.desired is not Desired.LAUNCHED:
            fate = "idle"
        state = state_of(placement, fate, begun[1], self.now)
        value = mapper.state_value(state)
        key = keys.state(placement.machine, name)
        if key not in self.world.items or self.world.items[key].value != value:
            self.world.commit([Put(key=key, value=value)])

    def _is_well(self, unit: Unit) -> bool:
        states = [state for (_, name), state in self.world.snapshot.states.items() if name == unit.name]
        has = [state for state in states if (state.content_hash, state.image) == (unit.content_hash, unit.image)]
        return any(state.active == "active" for state in has)

    def is_new(self, placement: Placement) -> bool:
        """Whether this is what the rollout gives units."""
        return placement.content_hash == NEW_HASH

    def is_ours(self, unit: Unit) -> bool:
        """Whether this is what the rollout gives units, or what they had."""
        return unit.content_hash in (OLD_HASH, NEW_HASH)

    # The leader.

    def step(self) -> Advance | None:
        snapshot = self.world.snapshot
        self.standing.look(snapshot, self.rollout.steps, self.now)
        return advance(snapshot, self.rollout, now=self.now, standing=self.standing)

    def write(self, todo: Advance) -> bool:
        ops, guards = transaction(todo)
        changed = [write.unit.name for write in todo.writes if write.unit.desired is Desired.LAUNCHED]
        units = self.world.snapshot.units
        ours = {name for name in self.written if name in units and self.is_ours(units[name])}
        away = {name for name in ours if self.now - self.well_since.get(name, self.now) < AFTER_S}
        if not self.world.commit(ops, guards):
            return False
        assert len(away.union(changed) - {TEMPLATE}) <= self.at_once, f"away: {away}, changed: {changed}"
        for name in changed:
            self.written[name] = self.now
            self.well_since.pop(name, None)
        return True

    def killed(self) -> None:
        """Another leads from here on, and has seen nothing."""
        self.standing = Standing()

    def to_the_end(self, between: Callable[[int], None] = lambda turn: None) -> Rollout:
        for turn in range(2000):
            between(turn)
            if not self.rollout.runs:
                return self.rollout
            todo = self.step()
            if todo is None:
                self.turn()
            else:
                assert self.write(todo)
        raise AssertionError(f"no end: {self.rollout}")

    def to_the_end_under(self, kills: Collection[int]) -> Rollout:
        """As `to_the_end`, with the leader killed at these turns; what each was about to write then comes too late."""
        stale: list[Advance] = []

        def between(turn: int) -> None:
            if turn in kills:
                todo = self.step()
                stale.extend([todo] if todo else [])
                self.killed()

        end = self.to_the_end(between)
        before = self.world.revision
        assert not any(self.world.commit(*transaction(todo)) for todo in stale), "a deposed leader's write was taken"
        assert self.world.revision == before
        return end


OUTCOMES: dict[str, tuple[float, dict[str, str]]] = {
    "fails": (
        1.0,
        {"active": "failed", "sub": "failed", "result": "exit-code", "message": "it ended with status 1"},
    ),
    "late": (1.5, {"active": "failed", "sub": "failed", "result": "exit-code"}),
    "again": (1.0, {"active": "activating", "sub": "auto-restart", "result": "exit-code"}),
    "refused": (0.0, {"load": "error", "message": "line 3: no such directive"}),
    "never": (0.0, {"active": "activating", "sub": "start"}),
    "ends": (1.0, {"active": "inactive", "sub": "dead"}),
    "idle": (0.0, {"active": "inactive", "sub": "dead"}),
}
"""Fate → after how many seconds, and what is reported then."""


def state_of(placement: Placement, fate: str, since: float, now: float) -> UnitState:
    """What a machine reports at `now` of what it has begun `since`."""
    took = now - since
    starting = took < (5.0 if fate == "slow" else 0.5)
    told = {"active": "activating", "sub": "start"} if starting else {}
    if fate in OUTCOMES and took >= OUTCOMES[fate][0]:
        told = OUTCOMES[fate][1]
    if fate in ("pulls", "hangs") and took < 60:  # longer than any time-out
        megabytes = int(took) if fate == "pulls" else 7
        told = {"active": "activating", "sub": "start-pre", "message": f"pulling {megabytes} of 60 MB"}
    if fate == "pulls" and 60 <= took < 62:
        told = {"active": "activating", "sub": "start"}
    if fate == "loops" and not starting:  # its supervisor starts it again, quicker than its agent reports
        since = now - took % 1.5
    fields: dict[str, Any] = {
        "load": "loaded",
        "active": "active",
        "sub": "running",
        "result": "success",
        "message": "",
        **told,
    }
    return UnitState(
        unit=placement.unit,
        machine=placement.machine,
        content_hash=placement.content_hash,
        placement_revision=placement.revision,
        since=since,
        image=placement.image,
        **fields,
    )


fates = st.sampled_from(("well", "well", "well", "slow", "fails", "late", "again", "loops", "refused", "never", "ends"))
GOOD = ("well", "slow")


def is_good(some: Sequence[tuple[str, Desired]]) -> bool:
    """Whether a rollout over these fates succeeds: what does not run cannot fail."""
    return all(fate in GOOD or desired is not Desired.LAUNCHED for fate, desired in some)
