"""What travels about single machines: what people say of them, what a drain does, what would even out the fleet."""

from __future__ import annotations

from msgspec import Struct

from inaetics.api.wire import MachineEntry, MachineRef


class MachineChange(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What is to be said of a machine; what is left out stays. A metadata value of null takes the key away.

    `draining` moves its units away, at most `at_once` together, and keeps new ones out.
    """

    metadata: dict[str, str | None] = {}
    cordoned: bool | None = None
    draining: bool | None = None
    at_once: int | None = None


class LeftUnit(Struct, frozen=True):
    """A unit on the machine. `fate`: leaving, next (its turn comes), stuck, or global (it stays); `why` for people."""

    unit: str
    fate: str
    why: str


class MachineDetail(Struct, frozen=True, kw_only=True):
    """One machine. `is_over`: no unit will leave it by itself any more; `arriving` have left and do not run yet.

    `machine` is None for one that is not there: then `left` names what is still placed on it.
    """

    revision: int
    id: str
    name: str
    machine: MachineEntry | None = None
    left: tuple[LeftUnit, ...] = ()
    arriving: int = 0
    is_over: bool = False


class MachineWritten(Struct, frozen=True, kw_only=True):
    """Which machine was meant, and the store's revision of the write; `units` were forgotten with it."""

    revision: int
    id: str
    name: str
    units: tuple[str, ...] = ()


class RebalanceAsk(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Even out, moving at most `at_once` units together."""

    at_once: int = 1


class RebalanceMove(Struct, frozen=True, kw_only=True):
    """`unit` should go from `source` to `target`, because."""

    unit: str
    source: MachineRef
    target: MachineRef
    because: str


class RebalanceReport(Struct, frozen=True, kw_only=True):
    """`moves` are worth it now; `is_on`: a rebalance was asked for and is not over, with `left` units still to go."""

    revision: int
    moves: tuple[RebalanceMove, ...] = ()
    is_on: bool = False
    left: int = 0
