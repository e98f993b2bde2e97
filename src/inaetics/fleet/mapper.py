"""Between the JSON in etcd and the fleet's values; nothing else knows the records' fields.

Reading is lenient, because a peer of another version may have written: fields unknown here are ignored, lacking ones
have defaults. `version` is the record's format, not the software's.
"""

from __future__ import annotations

import hashlib
from typing import TypeVar

import msgspec

from inaetics.errors import InvalidInput
from inaetics.fleet.model import (
    Desired,
    File,
    Machine,
    MachineId,
    Placement,
    Rebalance,
    Unit,
    UnitName,
    UnitState,
)
from inaetics.store.protocol import KeyValue

FORMAT = 1


class FileRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A unit file's content, under its hash (`content_hash`)."""

    version: int = FORMAT
    text: str


class UnitRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What people want of a unit. `hash` names its file, `image` the digest it runs ("sha256:…"; empty: not known);
    `generation` counts the changes of this record from 1 on.
    """

    version: int = FORMAT
    hash: str
    desired: Desired
    generation: int = 1
    image: str = ""


class PlacementRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was decided of a unit and a machine, both of which the key names; the fields are those of `Placement`.

    `since` is Unix seconds by the engine's clock.
    """

    version: int = FORMAT
    hash: str
    desired: Desired
    reason: str = ""
    since: float = 0.0
    machine_name: str = ""
    withdraw: bool = False
    moved_by: str = ""
    image: str = ""


class MachineRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent says of its machine, under its lease; the fields are those of `Machine`.

    `memory` is in bytes, `cores` may be a fraction; null: it does not say. `incarnation` is another one each time the
    agent takes the machine's place anew (a start, a lost lease). `software` is the agent's version.
    """

    version: int = FORMAT
    name: str
    address: str
    incarnation: str
    metadata: dict[str, str] = {}
    software: str = ""
    memory: int | None = None
    cores: float | None = None
    low_disk: str = ""


class OperatorRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What people say about a machine; a metadata value of null takes the agent's own away."""

    version: int = FORMAT
    metadata: dict[str, str | None] = {}
    cordoned: bool = False
    draining: bool = False
    at_once: int = 1


class RebalanceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be evened out: pairs of unit and the machine it is to leave."""

    version: int = FORMAT
    moves: list[tuple[str, str]]
    at_once: int = 1


class StateRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an agent reports of a unit, under its machine's lease; the fields are those of `UnitState`.

    The times are Unix seconds by that machine's clock; 0: not yet. `placement_revision` is the mod revision of the
    placement that it answers; 0: of none.
    """

    version: int = FORMAT
    load: str
    active: str
    sub: str
    hash: str = ""
    placement_revision: int = 0
    result: str = ""
    message: str = ""
    since: float = 0.0
    pulled_at: float = 0.0
    started_at: float = 0.0
    image: str = ""


Record = FileRecord | UnitRecord | PlacementRecord | MachineRecord | OperatorRecord | StateRecord | RebalanceRecord
R = TypeVar("R", bound=Record)
_encoder = msgspec.json.Encoder()


def encode(record: Record) -> bytes:
    """Turn a record into what is stored. The format is written even where defaults are left out."""
    body = _encoder.encode(record)
    if body.startswith(b'{"version":'):
        return body
    return b'{"version":%d,' % FORMAT + body[1:]


def decode(item: KeyValue, kind: type[R]) -> R:
    """Read a stored record; raises InvalidInput naming the key when it is not one of `kind`."""
    try:
        return msgspec.json.decode(item.value, type=kind)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise InvalidInput(f"cannot read {item.key} in the store: {error} (written by another version?)") from error


def content_hash(text: str) -> str:
    """The name under which a unit file's content is kept: SHA-256 in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def file(item: KeyValue) -> File:
    """Read a unit file's content. It and all readers below raise as `decode`."""
    return File(text=decode(item, FileRecord).text, revision=item.mod_revision)


def unit(name: UnitName, item: KeyValue, text: str = "") -> Unit:
    """Read a unit's record; its text lies under another key."""
    record = decode(item, UnitRecord)
    return Unit(
        name=name,
        text=text,
        content_hash=record.hash,
        desired=record.desired,
        generation=record.generation,
        revision=item.mod_revision,
        image=record.image,
    )


def machine(
    machine_id: MachineId, record: MachineRecord, revision: int, lease: int, said: OperatorRecord, said_at: int
) -> Machine:
    """Join what the agent says of its machine with what people say of it."""
    edits = said.metadata
    metadata = {key: value for key, value in record.metadata.items() if key not in edits}
    metadata |= {key: value for key, value in edits.items() if value is not None}
    return Machine(
        id=machine_id,
        name=record.name,
        address=record.address,
        incarnation=record.incarnation,
        metadata=dict(sorted(metadata.items())),
        cordoned=said.cordoned or said.draining,
        draining=said.draining,
        at_once=said.at_once,
        memory=record.memory,
        cores=record.cores,
        version=record.software,
        low_disk=record.low_disk,
        revision=revision,
        lease=lease,
        operator_revision=said_at,
    )


def machine_value(machine: Machine) -> bytes:
    """What an agent writes of its machine."""
    record = MachineRecord(
        name=machine.name,
        address=machine.address,
        incarnation=machine.incarnation,
        metadata=dict(machine.metadata),
        software=machine.version,
        memory=machine.memory,
        cores=machine.cores,
        low_disk=machine.low_disk,
    )
    return encode(record)


def placement(key: tuple[MachineId, UnitName], item: KeyValue) -> Placement:
    """Read a placement; which unit is where, its key says."""
    record = decode(item, PlacementRecord)
    return Placement(
        unit=key[1],
        machine=key[0],
        content_hash=record.hash,
        desired=record.desired,
        reason=record.reason,
        since=record.since,
        machine_name=record.machine_name,
        withdraw=record.withdraw,
        moved_by=record.moved_by,
        image=record.image,
        revision=item.mod_revision,
        create_revision=item.create_revision,
    )


def placement_value(placement: Placement) -> bytes:
    """What the engine writes of a placement."""
    record = PlacementRecord(
        hash=placement.content_hash,
        desired=placement.desired,
        reason=placement.reason,
        since=placement.since,
        machine_name=placement.machine_name,
        withdraw=placement.withdraw,
        moved_by=placement.moved_by,
        image=placement.image,
    )
    return encode(record)


def state(key: tuple[MachineId, UnitName], item: KeyValue) -> UnitState:
    """Read what a machine reports of a unit; which of which, its key says."""
    record = decode(item, StateRecord)
    return UnitState(
        unit=key[1],
        machine=key[0],
        load=record.load,
        active=record.active,
        sub=record.sub,
        content_hash=record.hash,
        placement_revision=record.placement_revision,
        result=record.result,
        message=record.message,
        since=record.since,
        pulled_at=record.pulled_at,
        started_at=record.started_at,
        image=record.image,
        revision=item.mod_revision,
        lease=item.lease,
    )


def state_value(state: UnitState) -> bytes:
    """What an agent writes of a unit."""
    record = StateRecord(
        load=state.load,
        active=state.active,
        sub=state.sub,
        hash=state.content_hash,
        placement_revision=state.placement_revision,
        result=state.result,
        message=state.message,
        since=state.since,
        pulled_at=state.pulled_at,
        started_at=state.started_at,
        image=state.image,
    )
    return encode(record)


def unit_value(content_hash: str, desired: Desired, generation: int, image: str = "") -> bytes:
    """What people want of a unit, to be written."""
    return encode(UnitRecord(hash=content_hash, desired=desired, generation=generation, image=image))


def file_value(text: str) -> bytes:
    """A unit file's content, to be written under its hash."""
    return encode(FileRecord(text=text))


def rebalance(item: KeyValue) -> Rebalance:
    """Read what is to be evened out."""
    record = decode(item, RebalanceRecord)
    moves = tuple((UnitName(unit), MachineId(machine)) for unit, machine in record.moves)
    return Rebalance(moves=moves, at_once=record.at_once, revision=item.mod_revision)


def rebalance_value(rebalance: Rebalance) -> bytes:
    """What is to be evened out, to be written."""
    return encode(RebalanceRecord(moves=list(rebalance.moves), at_once=rebalance.at_once))


def operator(item: KeyValue) -> OperatorRecord:
    """Read what people say about a machine."""
    return decode(item, OperatorRecord)
