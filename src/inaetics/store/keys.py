"""Keys, ranges and what a transaction may hold: the rules the real store and the fake share. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from inaetics.errors import InvalidInput
from inaetics.store.protocol import MAX_GUARDS, MAX_OPS, Delete, Guard, ModIs, Op, Put

ALL_FROM = b"\0"
"""As a range's end: every key from its start on. As its start: the first key there can be."""


def encode(key: str) -> bytes:
    """Turn a key into etcd's bytes; keys that are not UTF-8 survive the way there and back."""
    return key.encode("utf-8", "surrogateescape")


def decode(key: bytes) -> str:
    """Turn etcd's bytes into a key."""
    return key.decode("utf-8", "surrogateescape")


def range_end(prefix: bytes) -> bytes:
    """Return the first key after all those that begin with `prefix`, or `ALL_FROM` where there is none.

    The last byte that can grow does, and what follows it goes: `a\\xff` ends at `b`, not at `a\\xff\\xff`.
    """
    kept = prefix.rstrip(b"\xff")
    if not kept:
        return ALL_FROM
    return kept[:-1] + bytes([kept[-1] + 1])


def prefix_range(prefix: str) -> tuple[bytes, bytes]:
    """Return start and end of etcd's range over `prefix`; the empty prefix is every key."""
    start = encode(prefix)
    return start or ALL_FROM, range_end(start)


def check_key(key: str) -> None:
    """Raise InvalidInput for a key that etcd does not take."""
    if not key:
        raise InvalidInput("cannot use an empty key in the store: name one")


def check_commit(ops: Sequence[Op], guards: Sequence[Guard]) -> None:
    """Raise InvalidInput when these cannot be one transaction: too many, an empty key, a key that two of them touch."""
    if len(ops) > MAX_OPS:
        raise InvalidInput(f"cannot commit {len(ops)} operations at once: at most {MAX_OPS} (split them with `chunks`)")
    if len(guards) > MAX_GUARDS:
        raise InvalidInput(f"cannot guard a commit with {len(guards)} conditions: at most {MAX_GUARDS}")
    for item in (*ops, *guards):
        if not (isinstance(item, Delete) and item.prefix):
            check_key(item.key)
    for key in _touched_twice(ops):
        raise InvalidInput(f"cannot commit: {key!r} is touched by two operations of one transaction (leave one out)")


def guard_failure(guard: Guard, *, mod_revision: int, create_revision: int) -> str | None:
    """Say why `guard` does not hold for a key with these revisions (0: it does not exist), or return None."""
    found = mod_revision if isinstance(guard, ModIs) else create_revision
    if found == guard.revision:
        return None
    verb = "changed" if isinstance(guard, ModIs) else "created"
    stands = f"was {verb} at revision {found}" if found else "does not exist"
    return f"{guard.key!r} {stands}, expected {guard.revision or 'that it does not exist'}"


def _touched_twice(ops: Sequence[Op]) -> Iterator[str]:
    prefixes = [op.key for op in ops if _is_prefix(op)]
    seen: set[str] = set()
    for op in ops:
        others = prefixes.copy()
        if _is_prefix(op):
            others.remove(op.key)
        if op.key in seen or any(op.key.startswith(prefix) for prefix in others):
            yield op.key
        if not _is_prefix(op):
            seen.add(op.key)


def _is_prefix(op: Op) -> bool:
    match op:
        case Put():
            return False
        case Delete():
            return op.prefix
