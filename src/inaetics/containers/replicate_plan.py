"""What one image registry has to do to become equal to another: decided here, done elsewhere.

A registry's *ledger* says of every reference (a tag, or a manifest's digest) of every repository what it means and
when that was said. The rule is last writer wins: the later stamp counts; of two stamps with the same time that of the
host whose name comes later, so that all decide alike. A push gets a stamp later than any its registry has seen for the
same reference, so that a push always beats what it was meant to replace, whatever the clocks say. A removal is written
down like a push and wins or loses the same way, with one exception: a manifest that a tag means is not removed; whoever
holds it says anew that it is there.

Promises: the order in which ledgers are merged does not matter; merging twice changes nothing; when everybody has seen
everybody's ledger, all are equal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

DIGEST = "sha256:"

NAME = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*"
"""A repository's name, as the distribution protocol has it: no step of it leads out of a directory."""

REFERENCE = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}|sha256:[0-9a-f]{64}"
"""A tag or a digest."""

_KEY = re.compile(rf"(?:{NAME})\n(?:{REFERENCE})")
_MEANS = re.compile(r"|sha256:[0-9a-f]{64}")

Key = tuple[str, str]
"""A repository, and a tag of it or the digest of a manifest in it."""


@dataclass(frozen=True, slots=True, order=True)
class Stamp:
    """When something was said, in milliseconds since 1970, and on which host."""

    time_ms: int
    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What a reference means: a manifest's digest, or nothing ("") since it was removed."""

    digest: str
    stamp: Stamp

    @property
    def rank(self) -> tuple[Stamp, str]:
        """Of two entries for one reference the one with the greater rank counts."""
        return (self.stamp, self.digest)


Ledger = Mapping[Key, Entry]


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopt:
    """Write `entry` down for `key`; before that, what it means is brought about: copied, tagged or removed."""

    key: Key
    entry: Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Renew:
    """The other one removed a manifest that a tag of ours means: say anew that it is here, later than `after`."""

    key: Key
    after: Stamp


Action = Adopt | Renew


def is_digest(reference: str) -> bool:
    """Whether a reference is a manifest's digest rather than a tag."""
    return reference.startswith(DIGEST)


def is_entry(repository: str, reference: str, digest: str) -> bool:
    """Whether these could stand in a ledger: names become paths, so what another registry says is looked at first."""
    fits = _KEY.fullmatch(f"{repository}\n{reference}") and len(repository) < 256 and _MEANS.fullmatch(digest)
    return bool(fits) and (not is_digest(reference) or digest in ("", reference))


def later(mine: Entry | None, theirs: Entry) -> bool:
    """Whether `theirs` counts and `mine` does not."""
    return mine is None or theirs.rank > mine.rank


def merged(mine: Ledger, theirs: Ledger) -> dict[Key, Entry]:
    """Both in one: of each reference what was said last."""
    found = dict(mine)
    for key, entry in theirs.items():
        if later(found.get(key), entry):
            found[key] = entry
    return found


def plan(mine: Ledger, theirs: Ledger) -> list[Action]:
    """What to do here so that nothing said there is missing; empty when nothing is.

    In the order in which it is to be done: manifests before the tags that mean them, removals last and tags first
    among them. So what is seen of a registry in between is old or new, and never broken.
    """
    news = {key: entry for key, entry in theirs.items() if later(mine.get(key), entry)}
    tagged = meant(merged(mine, theirs))
    ordered = sorted(news, key=lambda key: (_turn(key, news[key]), key))
    return [_action(key, news[key], held=(key in tagged)) for key in ordered]


def meant(ledger: Ledger) -> set[Key]:
    """The manifests that tags mean."""
    return {(repository, entry.digest) for (repository, tag), entry in ledger.items() if not is_digest(tag)}


def next_stamp(now_ms: int, host: str, seen: Iterable[Entry | None]) -> Stamp:
    """The stamp of something said now on `host` that replaces all that was `seen`."""
    last = max((entry.stamp.time_ms for entry in seen if entry is not None), default=0)
    return Stamp(max(now_ms, last + 1), host)


def _turn(key: Key, entry: Entry) -> int:
    manifest = is_digest(key[1])
    if entry.digest:
        return 0 if manifest else 1
    return 3 if manifest else 2


def _action(key: Key, entry: Entry, *, held: bool) -> Action:
    if not entry.digest and held:
        return Renew(key=key, after=entry.stamp)
    return Adopt(key=key, entry=entry)
