"""What an agent does about one unit, and what it reports of it. Pure.

Promises: nothing is stopped that is placed, nothing runs that is not; a unit is started once for each decision, since
what happens to it afterwards is its supervisor's business (`Restart=`), except that one that was stopped because the
machine was out of touch is started again (this is only asked for while it is in touch); a unit counts as given up only
when the supervisor was told and has confirmed it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import assert_never

from inaetics.fleet.model import Desired, MachineId, Placement, UnitName, UnitState
from inaetics.supervisor.protocol import LOST_TOUCH, Active, UnitStatus

GONE = "not-found"
"""The load state that says, in answer to a withdrawn placement: given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Give the supervisor the unit's content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Have the supervisor start the unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Have the supervisor stop the unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """Have the supervisor stop the unit and start it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unload:
    """Stop the unit and have the supervisor forget it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirm:
    """Ask the supervisor for everything it has: the unit should not be there."""


Task = Load | Start | Stop | Restart | Unload | Confirm


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What an agent knows of a unit beyond the supervisor's word.

    `answered` is the revision of the last placement carried out, `content_hash` the submitted content it had, `image`
    the digest it named or that the unit was found to run, `given_hash` the hash of the text given to the supervisor for
    it. `failure` is why placement `failed_revision` could not be carried out.
    """

    answered: int = 0
    content_hash: str = ""
    given_hash: str = ""
    image: str = ""
    failure: str = ""
    failed_revision: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the supervisor has of a unit. `known` without a `status`: it was loaded, and its status is on its way."""

    status: UnitStatus | None = None
    known: bool = False


NOTHING = Seen()


def needs_content(placement: Placement | None) -> bool:
    """Whether the unit's file is needed to carry this out."""
    return placement is not None and not placement.withdraw


def tasks(placement: Placement | None, seen: Seen, memory: Memory, *, text_hash: str) -> tuple[Task, ...]:
    """What to do, in order. `text_hash` is the hash of the text the supervisor should have (if `needs_content`)."""
    if placement is None or placement.withdraw:
        if seen.known:
            return (Unload(),)
        return (Confirm(),) if placement and memory.answered != placement.revision else ()
    wanted = placement.desired is Desired.LAUNCHED
    carried_out = memory.answered == placement.revision
    status = seen.status
    if status is None:
        if seen.known and carried_out:
            return ()  # it was loaded just now; its status is on its way
        return (Load(), Start()) if wanted else (Load(),)
    if status.content_hash != text_hash and memory.given_hash != text_hash:
        if wanted and _is_same_run(placement, memory) and _is_up(status):
            return (Load(),)
        return _with_new_content(status, wanted=wanted, carried_out=carried_out)
    if wanted and _is_up(status) and not carried_out and _is_earlier_run(status, placement, memory, text_hash):
        return (Restart(),)
    if wanted and not _is_up(status) and (status.result == LOST_TOUCH or not carried_out):
        return (Start(),)
    if not wanted and _is_up(status):
        return (Stop(),)
    return ()


def _is_same_run(placement: Placement, memory: Memory) -> bool:
    """Whether what runs is what is asked for, and only the digest was not known when it was started."""
    return _is_known(placement, memory) and bool(placement.image)


def _is_known(placement: Placement, memory: Memory) -> bool:
    """Whether this machine has already said that it runs just that."""
    return placement.content_hash == memory.content_hash and placement.image == memory.image


def _is_earlier_run(status: UnitStatus, placement: Placement, memory: Memory, text_hash: str) -> bool:
    """Whether new content was loaded and what runs is still the old one: whoever was about to restart it died first."""
    return not _is_known(placement, memory) and status.run_hash not in ("", text_hash)


def _with_new_content(status: UnitStatus, *, wanted: bool, carried_out: bool) -> tuple[Task, ...]:
    """The supervisor has other content. Where the placement was carried out, only the host's own additions differ."""
    if carried_out and wanted:
        return (Load(),)
    if _is_up(status):
        return (Load(), Restart()) if wanted else (Load(), Stop())
    return (Load(), Start()) if wanted else (Load(),)


def runs(seen: Seen) -> bool:
    """Whether there may be processes of the unit."""
    status = seen.status
    return seen.known and (status is None or status.main_pid is not None or status.active not in _AT_REST)


_AT_REST = (Active.INACTIVE, Active.FAILED)


def _is_up(status: UnitStatus) -> bool:
    match status.active:
        case Active.ACTIVE | Active.ACTIVATING | Active.RELOADING:
            return True
        case Active.INACTIVE | Active.FAILED | Active.DEACTIVATING:
            return False
    assert_never(status.active)


def carried_out(placement: Placement, memory: Memory, *, text_hash: str) -> Memory:
    """The memory after the tasks for a placement that is not withdrawn were accepted."""
    same = placement.content_hash == memory.content_hash
    return Memory(
        answered=placement.revision,
        content_hash=placement.content_hash,
        given_hash=text_hash,
        image=placement.image or (memory.image if same else ""),
    )


def given_up(placement: Placement, seen: Seen, memory: Memory) -> Memory:
    """The memory after the supervisor was asked, for the withdrawn `placement`, what it has."""
    return memory if seen.known else Memory(answered=placement.revision)


def failed(placement: Placement, memory: Memory, message: str) -> Memory:
    """The memory after `placement` turned out to be impossible here."""
    return replace(memory, failure=message, failed_revision=placement.revision)


def has_failed(placement: Placement | None, memory: Memory) -> bool:
    """Whether there is no use in trying again before the placement changes."""
    return needs_content(placement) and placement is not None and memory.failed_revision == placement.revision


def report(
    machine: MachineId, unit: UnitName, placement: Placement | None, seen: Seen, memory: Memory
) -> UnitState | None:
    """What the machine says of the unit; None where there is nothing to say, and then no record must stand."""
    status = seen.status
    if placement is not None and has_failed(placement, memory):
        return _failure(machine, unit, placement, status, memory)
    if status is not None:
        return _state(machine, unit, status, memory)
    if placement is not None and placement.withdraw and not seen.known and memory.answered == placement.revision:
        return UnitState(
            unit=unit,
            machine=machine,
            load=GONE,
            active=Active.INACTIVE.value,
            sub="dead",
            content_hash="",
            placement_revision=placement.revision,
        )
    return None


def _state(machine: MachineId, unit: UnitName, status: UnitStatus, memory: Memory) -> UnitState:
    return UnitState(
        unit=unit,
        machine=machine,
        load=status.load,
        active=status.active.value,
        sub=status.sub,
        content_hash=memory.content_hash,
        placement_revision=memory.answered,
        result=status.result,
        message=status.message or "",
        since=status.since,
        pulled_at=status.pulled_at,
        started_at=status.started_at,
        image=memory.image,
    )


def _failure(
    machine: MachineId, unit: UnitName, placement: Placement, status: UnitStatus | None, memory: Memory
) -> UnitState:
    """What could not be done, over what still runs from before, if anything does."""
    if status is not None:
        before = _state(machine, unit, status, memory)
        return replace(before, load="error", placement_revision=placement.revision, message=memory.failure)
    return UnitState(
        unit=unit,
        machine=machine,
        load="error",
        active=Active.FAILED.value,
        sub="failed",
        content_hash=placement.content_hash,
        placement_revision=placement.revision,
        result="resources",
        message=memory.failure,
    )
