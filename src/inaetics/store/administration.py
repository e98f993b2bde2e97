"""The store's members seen one by one, and what is done to them: snapshots, members that come and go, room made.

For the operator's commands; needs the certificate of a root user. A member is asked alone, so that one that is away is
told as such and not covered by another.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inaetics.errors import InaeticsError, NotFound, Unavailable
from inaetics.files import replacing
from inaetics.store.endpoints import Tls
from inaetics.store.etcd import open_to
from inaetics.tasks import TaskGroup

if TYPE_CHECKING:
    from inaetics.store.wire import Wire

ANSWER_S = 2.0
WORK_S = 120.0
"""For what takes its time on a large store: defragmenting, a snapshot."""

_HASH_BYTES = 32
"""A snapshot ends with the SHA-256 of what comes before."""

ALARMS = {1: "NOSPACE", 2: "CORRUPT"}
_GET, _DISARM = 0, 2
"""`AlarmRequest.AlarmAction` of etcd's rpc.proto."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberStatus:
    """One member as it says itself; `error` is why it could not be asked, and then the numbers are 0."""

    name: str
    endpoint: str
    error: str = ""
    id: int = 0
    version: str = ""
    leads: bool = False
    term: int = 0
    revision: int = 0
    index: int = 0
    applied: int = 0
    size: int = 0
    """Bytes on disk."""
    in_use: int = 0
    """Bytes of them that hold something: the rest is given back by defragmenting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreStatus:
    """All members. `alarms`: alarm → the members that raised it, by name; empty also when nobody could be asked."""

    members: tuple[MemberStatus, ...]
    alarms: Mapping[str, tuple[str, ...]]

    @property
    def answering(self) -> tuple[MemberStatus, ...]:
        return tuple(member for member in self.members if not member.error)

    @property
    def quorum(self) -> bool:
        """Whether a majority answers and knows a leader."""
        return len(self.answering) * 2 > len(self.members) and any(member.leads for member in self.answering)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A member as the others have it on their list; without a name it has never started."""

    id: int
    name: str
    peer: str


async def status(endpoints: Mapping[str, str], tls: Tls | None) -> StoreStatus:
    """Ask every member (name → endpoint) for itself."""
    async with TaskGroup() as group:
        tasks = [group.create_task(_status(name, url, tls), name=name) for name, url in endpoints.items()]
    members = tuple(task.result() for task in tasks)
    names = {member.id: member.name for member in members if not member.error}
    alarms: dict[str, tuple[str, ...]] = {}
    for member in members:
        if not member.error:
            try:
                alarms = await _alarms(member.endpoint, tls, names)
            except InaeticsError:
                continue  # it may only be asked while there is a leader: the next one may know of it
            break
    return StoreStatus(members=members, alarms=alarms)


async def members(endpoints: Sequence[str], tls: Tls | None) -> tuple[Listed, ...]:
    """The list of members, as a majority has it."""
    async with _wire(endpoints, tls) as (wire, rpc):
        answer = await wire.call(rpc.MEMBERS, rpc.MemberListRequest(), what="cannot list the store's members")
    return tuple(
        Listed(id=each.ID, name=each.name, peer=each.peerURLs[0] if each.peerURLs else "") for each in answer.members
    )


async def remove_member(endpoints: Sequence[str], tls: Tls | None, member: Listed) -> None:
    """Take `member` off the list; raises `Unavailable` when the others could not go on without it."""
    async with _wire(endpoints, tls) as (wire, rpc):
        what = f"cannot remove member {member.name!r}"
        try:
            await wire.call(rpc.REMOVE_MEMBER, rpc.MemberRemoveRequest(ID=member.id), what=what)
        except InaeticsError as error:
            if "member not found" not in str(error.__cause__):  # sent again after its answer was lost
                raise


async def add_member(endpoints: Sequence[str], tls: Tls | None, peer: str) -> None:
    """Put a member that will speak at `peer` on the list; idempotent."""
    async with _wire(endpoints, tls) as (wire, rpc):
        request = rpc.MemberAddRequest(peerURLs=[peer])
        try:
            await wire.call(rpc.ADD_MEMBER, request, what=f"cannot add a member at {peer}")
        except InaeticsError as error:
            if "Peer URLs already exists" not in str(error.__cause__):
                raise


async def snapshot(endpoint: str, tls: Tls | None, file: Path) -> int:
    """Write all that the member at `endpoint` has into `file`, checked by its hash; returns how many bytes.

    `file` appears whole or not at all, readable by its owner only.
    """
    with replacing(file) as output:
        return await _receive(endpoint, tls, output.write)


async def defragment(endpoints: Mapping[str, str], tls: Tls | None, *, told: Callable[[str], object]) -> None:
    """Make room: forget history, give what is free back to the disk on each member in turn, and end the alarms.

    A member does not answer while it defragments; `told` is called with its name before. The leader is last.
    """
    found = await status(endpoints, tls)
    if not found.quorum:
        raise Unavailable("cannot make room: most of the store's members do not answer (see: inaetics etcd status)")
    answering = sorted(found.answering, key=lambda member: member.leads)
    async with _wire([member.endpoint for member in answering], tls) as (wire, rpc):
        await _compact(wire, rpc, max(member.revision for member in answering))
    for member in answering:
        told(member.name)
        async with _wire([member.endpoint], tls) as (wire, rpc):
            what = f"cannot defragment member {member.name!r}"
            await wire.call(rpc.DEFRAGMENT, rpc.DefragmentRequest(), what=what, timeout_s=WORK_S)
    await _disarm([member.endpoint for member in answering], tls)


async def _status(name: str, endpoint: str, tls: Tls | None) -> MemberStatus:
    try:
        async with _wire([endpoint], tls, timeout_s=ANSWER_S) as (wire, rpc):
            request = rpc.StatusRequest()
            answer = await wire.call(rpc.STATUS, request, what=f"cannot ask {name}")
    except Unavailable as error:
        return MemberStatus(name=name, endpoint=endpoint, error=_said(error))
    return MemberStatus(
        name=name,
        endpoint=endpoint,
        id=answer.header.member_id,
        version=answer.version,
        leads=answer.leader == answer.header.member_id,
        term=answer.raftTerm,
        revision=answer.header.revision,
        index=answer.raftIndex,
        applied=answer.raftAppliedIndex,
        size=answer.dbSize,
        in_use=answer.dbSizeInUse,
    )


async def _alarms(endpoint: str, tls: Tls | None, names: Mapping[int, str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    async with _wire([endpoint], tls, timeout_s=ANSWER_S) as (wire, rpc):
        request = rpc.AlarmRequest(action=_GET)
        answer = await wire.call(rpc.ALARM, request, what="cannot ask for alarms")
    for alarm in answer.alarms:
        kind = ALARMS.get(alarm.alarm, str(alarm.alarm))
        found[kind] = (*found.get(kind, ()), names.get(alarm.memberID, f"{alarm.memberID:x}"))
    return found


async def _disarm(endpoints: Sequence[str], tls: Tls | None) -> None:
    async with _wire(endpoints, tls) as (wire, rpc):
        what = "cannot end the alarm"
        armed = await wire.call(rpc.ALARM, rpc.AlarmRequest(action=_GET), what=what)
        for alarm in armed.alarms:
            if ALARMS.get(alarm.alarm) == "NOSPACE":
                request = rpc.AlarmRequest(action=_DISARM, memberID=alarm.memberID, alarm=alarm.alarm)
                await wire.call(rpc.ALARM, request, what=what)


async def _compact(wire: Wire, rpc: Any, revision: int) -> None:
    request = rpc.CompactionRequest(revision=revision, physical=True)
    try:
        await wire.call(rpc.COMPACT, request, what="cannot forget history", timeout_s=WORK_S)
    except InaeticsError as error:
        if "has been compacted" not in str(error.__cause__):
            raise


async def _receive(endpoint: str, tls: Tls | None, write: Callable[[bytes], object]) -> int:
    """Pass the snapshot on piece by piece; its last bytes must be the hash of what comes before."""
    from inaetics.store.rpc import RpcError

    digest, tail, size = hashlib.sha256(), b"", 0
    async with _wire([endpoint], tls) as (wire, rpc):
        try:
            async with asyncio.timeout(WORK_S):
                call = await wire.open(wire.member, rpc.SNAPSHOT, rpc.SnapshotRequest())
                while (piece := await call.read()) is not None:
                    write(piece.blob)
                    size += len(piece.blob)
                    tail += piece.blob
                    digest.update(tail[:-_HASH_BYTES])
                    tail = tail[-_HASH_BYTES:]
        except TimeoutError as error:
            raise Unavailable(f"cannot take a snapshot from {endpoint}: not whole within {WORK_S:g} s") from error
        except RpcError as error:
            raise wire.translated(error, f"cannot take a snapshot from {endpoint}") from error
    if digest.digest() != tail:
        raise Unavailable(f"the snapshot from {endpoint} arrived damaged: its hash does not fit (try again)")
    return size


@asynccontextmanager
async def _wire(
    endpoints: Sequence[str], tls: Tls | None, *, timeout_s: float = 5.0
) -> AsyncIterator[tuple[Wire, Any]]:
    if not endpoints:
        raise NotFound("the store has no member to ask")
    async with open_to(endpoints, tls=tls, timeout_s=timeout_s) as wire:
        from inaetics.store import schema as rpc

        yield wire, rpc


def _said(error: InaeticsError) -> str:
    details = str(getattr(error.__cause__, "details", "") or "no answer in time")
    return details.removeprefix("etcdserver: ")
