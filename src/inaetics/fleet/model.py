"""The fleet's values: what people want, what the engine decided, what machines report. Pure.

`Snapshot` is everything the engine decides from; it is folded from etcd's keys by `fold`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from inaetics.fleet.identifiers import MachineId as MachineId
from inaetics.fleet.identifiers import UnitName as UnitName
from inaetics.fleet.rollout import Rollout

_SUFFIXES = frozenset({"service", "socket", "timer", "path", "target"})


class Desired(StrEnum):
    """What people want of a unit, as in the original: known; known to a machine; running on a machine."""

    INACTIVE = "inactive"
    LOADED = "loaded"
    LAUNCHED = "launched"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A submitted unit: the file's `text`, its SHA-256 in hex, and the mod `revision` of its key.

    `image` is the digest that the unit runs of its image's tag ("sha256:…"), whatever the tag means meanwhile; empty
    while it is not known, and for what has no tag to follow. `generation` counts the changes of the record, from 1 on.
    """

    name: UnitName
    text: str
    content_hash: str
    desired: Desired
    generation: int
    revision: int
    image: str = ""

    @property
    def is_template(self) -> bool:
        """`felix@.service` is what instances are made of; it is never placed itself."""
        return self.name.partition("@")[2].removeprefix(".") in _SUFFIXES


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A machine under its lease. `metadata` is the agent's own with the operator's edits applied.

    `memory` is in bytes, `cores` may be a fraction; None: the machine does not say, and is not limited. A machine that
    is `draining` is cordoned too: its units are moved away, at most `at_once` together. `low_disk` says how little room
    its disk has left, and is empty while it has enough. `revision` is the mod revision
    of the machine's own key and `lease` that key's lease, `operator_revision` that of the operator's (0: none).
    """

    id: MachineId
    name: str
    address: str
    incarnation: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    cordoned: bool = False
    draining: bool = False
    at_once: int = 1
    memory: int | None = None
    cores: float | None = None
    version: str = ""
    low_disk: str = ""
    revision: int = 0
    lease: int = 0
    operator_revision: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The engine's decision that `unit` is on `machine`; `withdraw` asks the machine to give it up.

    `machine_name` is what people call the machine: it may be gone when the placement is shown. `moved_by` names the
    drain or rebalance that takes the unit away (while it is withdrawn) or brought it here. `image`: the digest to run.
    """

    unit: UnitName
    machine: MachineId
    content_hash: str
    desired: Desired
    reason: str
    since: float
    machine_name: str = ""
    withdraw: bool = False
    moved_by: str = ""
    image: str = ""
    revision: int = 0
    create_revision: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitState:
    """What a machine reports of a unit, answering the placement of `placement_revision`.

    `since`, `pulled_at` and `started_at` are Unix seconds by that machine's clock: of the last change of `active`, and
    of the moments at which all was there to start its main process, and at which that was launched (0: not yet).
    `image` is the digest of the image it was given, or was found to run. `lease` is the one it stands under.
    """

    unit: UnitName
    machine: MachineId
    load: str
    active: str
    sub: str
    content_hash: str
    placement_revision: int
    result: str = ""
    message: str = ""
    since: float = 0.0
    pulled_at: float = 0.0
    started_at: float = 0.0
    image: str = ""
    revision: int = 0
    lease: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A unit file's content as stored under its hash; `revision` is its key's mod revision."""

    text: str
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebalance:
    """What people asked to even out: `moves` says which unit is to leave which machine, at most `at_once` together."""

    moves: tuple[tuple[UnitName, MachineId], ...]
    at_once: int
    revision: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything under the fleet's prefix at one `revision`. Placements and states are keyed (machine, unit).

    One given out by a mirror is a live view: it is consistent until its holder awaits.
    """

    revision: int = 0
    files: Mapping[str, File] = field(default_factory=dict)
    units: Mapping[UnitName, Unit] = field(default_factory=dict)
    machines: Mapping[MachineId, Machine] = field(default_factory=dict)
    placements: Mapping[tuple[MachineId, UnitName], Placement] = field(default_factory=dict)
    states: Mapping[tuple[MachineId, UnitName], UnitState] = field(default_factory=dict)
    rebalances: Mapping[str, Rebalance] = field(default_factory=dict)
    rollouts: Mapping[str, Rollout] = field(default_factory=dict)
    """None, or one under the empty name: a view stays live only in what can change in place."""

    @property
    def rebalance(self) -> Rebalance | None:
        """What people asked to be evened out, and is not yet."""
        return self.rebalances.get("")


@lru_cache(maxsize=100_000)
def natural(name: str) -> tuple[tuple[str, int], ...]:
    """Sort key in which numbers count as numbers: `felix@2` comes before `felix@10`."""
    return tuple((text, int(digits or 0)) for text, digits in _TEXT_AND_DIGITS.findall(name))


_TEXT_AND_DIGITS = re.compile(r"(\D+|(?=\d))(\d*)")
