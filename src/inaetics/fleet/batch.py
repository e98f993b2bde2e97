"""Many wishes in few transactions: what is asked of units, what that changes, and how it is packed. Pure.

Promises: each transaction leaves a valid state, since a unit's record and its file are written together or the file is
guarded by the revision at which this batch wrote it; each unit is guarded by the revision it was decided from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from inaetics.errors import Conflict, InaeticsError, InvalidInput, NotFound
from inaetics.fleet import keys, mapper
from inaetics.fleet.model import Desired, Unit, UnitName
from inaetics.store.protocol import MAX_GUARDS, MAX_OPS, Delete, Guard, ModIs, Op, Put

MAX_BYTES = 1_000_000
"""Content of one transaction: etcd refuses requests over 1.5 MB."""

_SHOWN = 3
"""Errors told of many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is asked of one unit: a file, a desired state, or both; or that it be forgotten.

    The file is given as `text`, or as the `content_hash` of one that the store or another wish of the batch has.
    """

    name: str
    text: str | None = None
    content_hash: str | None = None
    desired: Desired | None = None
    replace: bool = False
    destroy: bool = False

    @property
    def submits(self) -> bool:
        return self.text is not None or self.content_hash is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a wish comes to, decided from `old`: `new` is None for a unit to be forgotten. Equal ones change nothing."""

    wish: Wish
    old: Unit | None
    new: Unit | None

    @property
    def writes(self) -> bool:
        return self.old is None or self.new is None or _record(self.old) != _record(self.new)

    @property
    def file(self) -> str | None:
        """The hash of the file that the wish brings."""
        return self.new.content_hash if self.new and self.wish.submits else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one wish; with an `error` nothing did."""

    name: str
    revision: int = 0
    changed: bool = False
    error: InaeticsError | None = None


def check_shape(wishes: Sequence[Wish]) -> None:
    """Raise InvalidInput unless each wish asks for something, and only one for each unit."""
    seen: set[str] = set()
    for wish in wishes:
        if wish.name in seen:
            raise InvalidInput(f"unit {wish.name!r} is named twice in one request (ask one thing of it)")
        seen.add(wish.name)
        if wish.text is not None and wish.content_hash is not None:
            raise InvalidInput(f"unit {wish.name!r} is given a text and a hash (give one of them)")
        if wish.destroy and (wish.submits or wish.desired is not None):
            raise InvalidInput(f"unit {wish.name!r} is to be destroyed and something else (ask one thing of it)")
        if not (wish.destroy or wish.submits or wish.desired is not None):
            raise InvalidInput(f"nothing is asked of unit {wish.name!r}: give text, hash, desired or destroy")


def decide(wish: Wish, old: Unit | None, texts: Mapping[str, str]) -> Change:
    """What `wish` comes to for the unit as it is; `texts` has the file it names by hash, if it names one.

    Raises NotFound for a unit that is not there, Conflict where other content is.
    """
    if wish.destroy or not wish.submits:
        if old is None:
            raise unknown(wish.name)
        new = None if wish.destroy else following(old, name=wish.name, content=None, desired=wish.desired)
        return Change(wish=wish, old=old, new=new)
    content_hash = wish.content_hash or mapper.content_hash(wish.text or "")
    if old and old.content_hash != content_hash and not wish.replace:
        raise exists(wish.name)
    new = following(old, name=wish.name, content=(content_hash, texts[content_hash]), desired=wish.desired)
    return Change(wish=wish, old=old, new=new)


def following(old: Unit | None, *, name: str, content: tuple[str, str] | None, desired: Desired | None) -> Unit:
    """The unit after a change; `content` is the new (hash, text), None where the old content stays."""
    kept = (old.content_hash, old.text) if old else ("", "")
    content_hash, text = content or kept
    return Unit(
        name=UnitName(name),
        text=text,
        content_hash=content_hash,
        desired=desired or (old.desired if old else Desired.INACTIVE),
        generation=old.generation + 1 if old else 1,
        revision=0,
        image=old.image if old else "",
    )


def _record(unit: Unit) -> tuple[str, Desired, str]:
    return unit.content_hash, unit.desired, unit.image


def parts(changes: Iterable[Change], texts: Mapping[str, str]) -> Iterator[list[Change]]:
    """Split `changes`, in order, into what one transaction each takes; a file is written where it first occurs."""
    written: set[str] = set()
    part = _Part()
    for change in changes:
        new = change.file is not None and change.file not in written and change.file not in part.files
        size = len(mapper.file_value(texts[change.file])) if new and change.file else 0
        if part.is_full_with(change, size):
            yield part.changes
            written |= part.files
            part = _Part()
        part.add(change, size)
    if part.changes:
        yield part.changes


@dataclass(slots=True)
class _Part:
    """What goes into one transaction. A file of size 0 was written before and is guarded only."""

    changes: list[Change] = field(default_factory=list)
    files: set[str] = field(default_factory=set)
    ops: int = 0
    size: int = 0

    def is_full_with(self, change: Change, size: int) -> bool:
        ops = self.ops + change.writes + (size > 0)
        guards = len(self.changes) + 1 + len(self.files) + (change.file is not None and change.file not in self.files)
        return bool(self.changes) and (ops > MAX_OPS or guards > MAX_GUARDS or self.size + size > MAX_BYTES)

    def add(self, change: Change, size: int) -> None:
        self.changes.append(change)
        self.ops += change.writes + (size > 0)
        self.size += size
        if change.file is not None:
            self.files.add(change.file)


def packed(
    part: Sequence[Change], texts: Mapping[str, str], written: Mapping[str, int]
) -> tuple[list[Op], list[Guard]]:
    """What to commit for `part`; `written` says at which revision this batch wrote a file already."""
    ops: dict[str, Op] = {}
    guards: dict[str, Guard] = {}
    for change in part:
        unit = keys.unit(change.wish.name)
        guards[unit] = ModIs(key=unit, revision=change.old.revision if change.old else 0)
        if change.file is not None:
            file = keys.file(change.file)
            if change.file in written:
                guards[file] = ModIs(key=file, revision=written[change.file])
            else:
                ops[file] = Put(key=file, value=mapper.file_value(texts[change.file]))
        if change.new is None:
            ops[unit] = Delete(key=unit)
        elif change.writes:
            new = change.new
            ops[unit] = Put(key=unit, value=mapper.unit_value(new.content_hash, new.desired, new.generation, new.image))
    return list(ops.values()), list(guards.values())


def refusal(errors: Sequence[InaeticsError], *, of: int) -> InaeticsError:
    """One error for all of `errors`, of the first one's kind."""
    first = errors[0]
    if len(errors) == 1:
        return first
    words = "; ".join(str(error) for error in errors[:_SHOWN])
    more = f"; and {len(errors) - _SHOWN} more" if len(errors) > _SHOWN else ""
    return type(first)(f"{len(errors)} of {of} units are refused, and nothing was changed: {words}{more}")


def exists(name: str) -> Conflict:
    """The error for a unit that is there with other content."""
    return Conflict(
        f"cannot submit '{name}': other content exists under that name "
        f"(take the new one: fleetctl submit --replace; or give the old one up: fleetctl destroy {name})"
    )


def unknown(name: str) -> NotFound:
    """The error for a unit that nobody submitted."""
    return NotFound(f"no unit '{name}' is submitted (what there is: fleetctl list-unit-files)")
