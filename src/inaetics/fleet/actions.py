"""What a plan consists of: decisions as values, each valid on its own once those before it are done. Pure.

Where a unit is taken from a machine, `state` is the machine's report that it has given the unit up; None says that the
machine is lost.
"""

from __future__ import annotations

from dataclasses import dataclass

from inaetics.fleet.model import MachineId, Placement, Unit, UnitName, UnitState


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Put `unit` on `machine`, where it is not placed yet."""

    unit: Unit
    machine: MachineId
    reason: str

    @property
    def name(self) -> UnitName:
        return self.unit.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """Give `placement` this content and the desired state that `unit` has now, and take back its withdrawal."""

    unit: Unit
    placement: Placement
    content_hash: str
    reason: str

    @property
    def name(self) -> UnitName:
        return self.unit.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdraw:
    """Ask the machine of `placement` to give the unit up. `unit` is None where it was destroyed.

    `moved_by` names the drain or rebalance that wants it, `target` the machine that would take it.
    """

    unit: Unit | None
    placement: Placement
    reason: str
    moved_by: str = ""
    target: MachineId | None = None

    @property
    def name(self) -> UnitName:
        return self.placement.unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove:
    """Forget `placement`, which its machine has given up or which is on a lost machine."""

    unit: Unit | None
    placement: Placement
    state: UnitState | None
    reason: str

    @property
    def name(self) -> UnitName:
        return self.placement.unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Forget `placement` and put the unit on `machine`, in one transaction."""

    unit: Unit
    placement: Placement
    state: UnitState | None
    machine: MachineId
    reason: str

    @property
    def name(self) -> UnitName:
        return self.unit.name


Action = Place | Update | Withdraw | Remove | Move
