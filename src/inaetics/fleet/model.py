"""The fleet's values: what people want, what the engine decided, what machines report. Pure.

`Snapshot` is everything the engine decides from; it is built from etcd's keys by `mapper` and never changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

MachineId = NewType("MachineId", str)
"""32 hexadecimal digits, as in /etc/machine-id."""

UnitName = NewType("UnitName", str)


class Desired(StrEnum):
    """What people want of a unit, as in the original: known; known to a machine; running on a machine."""

    INACTIVE = "inactive"
    LOADED = "loaded"
    LAUNCHED = "launched"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A submitted unit: the file's `text`, its SHA-256 in hex, and the mod `revision` of its key."""

    name: UnitName
    text: str
    content_hash: str
    desired: Desired
    generation: int
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A machine under its lease. `metadata` is the agent's own with the operator's edits applied."""

    id: MachineId
    name: str
    address: str
    incarnation: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    cordoned: bool = False
    version: str = ""
    revision: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The engine's decision that `unit` is on `machine`; `withdraw` asks the machine to give it up."""

    unit: UnitName
    machine: MachineId
    content_hash: str
    desired: Desired
    reason: str
    since: float
    withdraw: bool = False
    revision: int = 0
    create_revision: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitState:
    """What a machine reports of a unit, answering the placement of `placement_revision`."""

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
    revision: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything under the fleet's prefix at one `revision`. Placements and states are keyed (machine, unit)."""

    revision: int = 0
    units: Mapping[UnitName, Unit] = field(default_factory=dict)
    machines: Mapping[MachineId, Machine] = field(default_factory=dict)
    placements: Mapping[tuple[MachineId, UnitName], Placement] = field(default_factory=dict)
    states: Mapping[tuple[MachineId, UnitName], UnitState] = field(default_factory=dict)
