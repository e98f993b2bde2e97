"""What travels between the API and its clients, as JSON: the original fleet's entities and ours.

The original's (`V1…`) keep its names and leave out what is empty, as its own server did. What a peer of another version
adds is ignored; what it lacks has a default.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field


class V1Option(Struct, frozen=True):
    """One option of a unit file: `ExecStart=/bin/true` in `[Service]`."""

    section: str
    name: str
    value: str


class V1Unit(Struct, frozen=True, rename="camel", omit_defaults=True):
    """A unit as the original's clients know it."""

    name: str = ""
    options: tuple[V1Option, ...] = ()
    desired_state: str = ""
    current_state: str = ""
    machine_id: str = field(default="", name="machineID")


class V1UnitChange(Struct, frozen=True, rename="camel", omit_defaults=True):
    """What a client of the original sends: a unit of which it may have left out anything, or said that it is null."""

    name: str | None = None
    options: tuple[V1Option, ...] | None = None
    desired_state: str | None = None
    current_state: str | None = None
    machine_id: str | None = field(default=None, name="machineID")


class V1UnitPage(Struct, frozen=True, rename="camel"):
    units: tuple[V1Unit, ...] = ()
    next_page_token: str | None = None


class V1State(Struct, frozen=True, rename="camel", omit_defaults=True):
    """What one machine reports of one unit. `hash` is the SHA-256 of the unit file as it was submitted."""

    name: str
    hash: str = ""
    machine_id: str = field(default="", name="machineID")
    systemd_load_state: str = ""
    systemd_active_state: str = ""
    systemd_sub_state: str = ""


class V1Machine(Struct, frozen=True, omit_defaults=True):
    id: str
    primary_ip: str = field(default="", name="primaryIP")
    metadata: dict[str, str] = {}


class V1MetadataEdit(Struct, frozen=True, omit_defaults=True):
    """One step of editing machines' metadata; `path` is `/MACHINE_ID/metadata/KEY`, `value` what it gets."""

    op: Literal["add", "remove", "replace"]
    path: str
    value: str = ""


class V1StatePage(Struct, frozen=True, rename="camel"):
    states: tuple[V1State, ...] = ()
    next_page_token: str | None = None


class V1MachinePage(Struct, frozen=True, rename="camel"):
    machines: tuple[V1Machine, ...] = ()
    next_page_token: str | None = None


class ErrorBody(Struct, frozen=True):
    code: int
    message: str = ""


class ErrorEntity(Struct, frozen=True):
    """The body of every answer from 400 up."""

    error: ErrorBody


class MachineRef(Struct, frozen=True):
    """The machine a unit is on, named as people name it."""

    id: str
    name: str
    address: str


class MachineEntry(Struct, frozen=True, kw_only=True):
    """A machine of the fleet; `units` counts what is placed on it. `memory` is in bytes; None: it does not say."""

    id: str
    name: str
    address: str
    metadata: dict[str, str] = {}
    cordoned: bool = False
    draining: bool = False
    memory: int | None = None
    cores: float | None = None
    version: str = ""
    units: int = 0


class MachineList(Struct, frozen=True):
    revision: int
    machines: tuple[MachineEntry, ...] = ()


class UnitEntry(Struct, frozen=True, kw_only=True):
    """A submitted unit and what became of it.

    `machine` is where it is placed, None while it waits or is inactive. `load`, `active`, `sub` are that machine's
    report, None until there is one. `reason` says why a unit that is wanted has no machine, None when it has one;
    `placed` says why it is where it is. A global unit has no `machine`: its states are in the list of states.
    `since` is Unix seconds of the last change of `active`. `sub` is "pulling" while an image is fetched, and `message`
    says how much of it is there. `image` is the tag that the unit follows with the digest that it keeps of it.
    """

    name: str
    hash: str
    desired: str
    current: str
    description: str = ""
    is_global: bool = False
    machine: MachineRef | None = None
    load: str | None = None
    active: str | None = None
    sub: str | None = None
    result: str | None = None
    message: str | None = None
    reason: str | None = None
    placed: str | None = None
    since: float | None = None
    image: str | None = None

    @property
    def waits(self) -> bool:
        """Is it wanted on a machine, with none to run on?"""
        return self.reason is not None


class UnitList(Struct, frozen=True):
    """`revision` is the store's at which all of it was true: give it back as `after` to wait for the next change."""

    revision: int
    units: tuple[UnitEntry, ...] = ()


class UnitDetail(Struct, frozen=True, kw_only=True):
    """One unit, with the file as it was submitted."""

    unit: UnitEntry
    text: str


class StateEntry(Struct, frozen=True, kw_only=True):
    """What one machine reports of one unit. `image` is the digest it runs there."""

    name: str
    machine: MachineRef
    load: str
    active: str
    sub: str
    hash: str
    result: str = ""
    message: str = ""
    since: float = 0.0
    image: str = ""


class StateList(Struct, frozen=True):
    """Every report, and the names of the units that wait for a machine."""

    revision: int
    states: tuple[StateEntry, ...] = ()
    waiting: tuple[str, ...] = ()


class UnitChange(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a client asks of a unit: `text` submits it, `desired` says what is wanted; either alone is enough.

    `replace` allows `text` to differ from what is stored under the name; without it that is a conflict.
    """

    text: str | None = None
    desired: str | None = None
    replace: bool = False


class Written(Struct, frozen=True):
    """The store's revision of a write: what is read afterwards is at least as new."""

    revision: int


class BatchEntry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a client asks of one of many units: as `UnitChange`, or that it be forgotten (`destroy`).

    In place of `text`, `hash` (SHA-256 in hex) may name a file that another entry brings or the fleet has.
    """

    name: str
    text: str | None = None
    hash: str | None = None
    desired: str | None = None
    replace: bool = False
    destroy: bool = False


class Batch(Struct, frozen=True):
    """Many units in one request."""

    units: tuple[BatchEntry, ...]


class BatchResult(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one entry: at which revision it is as asked, whether that took a write; or why it is not."""

    name: str
    revision: int = 0
    changed: bool = False
    error: ErrorBody | None = None


class BatchReport(Struct, frozen=True):
    """What became of each entry, in their order; `revision` is that of the last write."""

    revision: int
    units: tuple[BatchResult, ...] = ()


class Restarted(Struct, frozen=True, kw_only=True):
    """Where a unit is being restarted; once it has been, its state's `since` is younger than this one."""

    machine: MachineRef
    since: float


class Changes(Struct, frozen=True, kw_only=True):
    """What is known of the units `names` at `revision`, which are all of which something was heard since.

    A name that is not among `units` is not submitted (any more); `reported` are those that a machine still has. With
    `complete`, what was known before is void: these are all the units that were asked for.
    """

    revision: int
    complete: bool = False
    names: tuple[str, ...] = ()
    units: tuple[UnitEntry, ...] = ()
    reported: tuple[str, ...] = ()


class ConstraintVerdict(Struct, frozen=True):
    """What one constraint says about one machine."""

    constraint: str
    holds: bool
    because: str = ""


class MachineVerdict(Struct, frozen=True):
    """Whether one machine may run a unit, constraint by constraint."""

    machine: str
    name: str
    fits: bool
    constraints: tuple[ConstraintVerdict, ...] = ()


class ExplainReport(Struct, frozen=True, kw_only=True):
    """Why a unit is where it is, or waits; machine by machine, and what would make it fit.

    `states` are what machines report of it, for people; `image` is as a unit's.
    """

    unit: str
    summary: str
    waits: bool = False
    machines: tuple[MachineVerdict, ...] = ()
    remedies: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    image: str | None = None


class Health(Struct, frozen=True, kw_only=True):
    """`store` is "ok" or "silent"; `silent_s` says for how long; `leader` names the engine's leader."""

    store: str
    revision: int
    machines: int
    silent_s: float = 0.0
    leader: str | None = None
    version: str = ""


STALE_HEADER = "Inaetics-Stale"
"""Carried by answers given while the store is silent: what is shown is the last that was known; the value says why."""
