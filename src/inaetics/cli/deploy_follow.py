"""Waiting until targets run a version of the mapping, or the cluster has taken it back because one of them cannot.

Judged is what the targets themselves said, as their audit logs have it. A target of which nothing is heard and whose
unit does not run is not waited for: it gets what it shall run when it comes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

from inaetics.bundles.outcome import words_of
from inaetics.cli.common import say
from inaetics.errors import Conflict, NotFound, Unavailable

if TYPE_CHECKING:
    from inaetics.api.client import FleetClient
    from inaetics.api.provisioning_wire import TargetEntry, TargetList, VersionReply

FAILED = 1
"""Exit code: a target failed or took too long, as for units."""
WITHIN_S = 60.0
AWAY_S = 2.0
"""An agent that is there is told of a version within milliseconds; who said nothing for so long is away, where its unit
does not run either."""
GIVEN_S = 5.0
"""So long for one that was given its bundles and whose unit does not run: it may have been told on its way out."""
TAKEN_BACK_S = 15.0
"""So long the cluster may take to go back from a version that failed its trial: longer when no registry answers."""
AGAIN_S = 0.2
MOST_NAMED = 10

Answer = TypeVar("Answer")

_THERE = frozenset({"active", "activating", "reloading"})


class Step(Protocol):
    """Where progress is shown."""

    def update(self, detail: str) -> None: ...


@dataclass(slots=True, kw_only=True)
class Followed:
    """What became of the targets that were waited for: target → reason, where there is one.

    `taken_back`: the version that the cluster made of its own accord in the place of this one; 0 where it did not.
    """

    version: int
    taken_back: int = 0
    current: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    late: dict[str, str] = field(default_factory=dict)
    away: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Targets that are there."""
        return len(self.current) + len(self.failed) + len(self.late)

    @property
    def exit_code(self) -> int:
        return FAILED if self.failed or self.late else 0


def concerned(reply: VersionReply) -> set[str]:
    """Targets that a version gives something else than the one before did."""
    return {each.target for each in reply.changes if each.added or each.changed or each.removed}


def follow(
    client: FleetClient,
    version: int,
    names: Iterable[str],
    *,
    within_s: float,
    step: Step,
    others: bool = False,
    fatal: Collection[str] = (),
) -> Followed:
    """Wait until each of `names` runs `version` or has failed, at most `within_s`; with `others` also those that do
    not run what they shall for another reason. When a target of `fatal` fails, the cluster is about to go back from the
    version: that is waited for.

    Raises `Conflict` when somebody else puts another version in force meanwhile.
    """
    from inaetics.api.provisioning_client import targets

    began, asked, failed_at = time.monotonic(), set(names), 0.0
    while True:
        listed = answered(lambda: targets(client), until=began + within_s)
        if listed.version != version:
            return answered(lambda: _taken_back(client, version), until=time.monotonic() + TAKEN_BACK_S)
        now = time.monotonic()
        found = _look(listed, asked, waited_s=now - began, others=others)
        step.update(f"{len(found.current)} of {found.count} targets run it")
        if found.failed.keys() & set(fatal):
            failed_at = failed_at or now
            if now - failed_at >= TAKEN_BACK_S:
                return found
            time.sleep(AGAIN_S)
        elif not found.late or now - began >= within_s:
            return found
        else:
            time.sleep(min(AGAIN_S, max(began + within_s - now, 0.01)))


def answered(ask: Callable[[], Answer], *, until: float) -> Answer:
    """The answer, also when an API dies or the store is silent in between; raises `Unavailable` after `until`."""
    while True:
        try:
            return ask()
        except Unavailable:
            if time.monotonic() >= until:
                raise
            time.sleep(AGAIN_S)


def _taken_back(client: FleetClient, version: int) -> Followed:
    """What became of a version that is in force no more. Versions have no gaps: the next one says why."""
    from inaetics.api import provisioning_client as api

    try:
        after = api.version(client, version + 1)
    except NotFound:
        after = api.version(client)
    if after.undid is None or after.undid.version != version:
        raise Conflict(
            f"version {after.version} was put in force meanwhile: version {version} is waited for no more "
            "(who did it: inaetics deploy history)"
        )
    return Followed(version=version, taken_back=after.version, failed=dict(after.undid.failed))


def _look(listed: TargetList, asked: set[str], *, waited_s: float, others: bool) -> Followed:
    found = Followed(version=listed.version)
    if others:
        asked |= {each.target for each in listed.targets if each.outcome != "current" and each.unit in _THERE}
    for entry in listed.targets:
        if entry.target not in asked:
            continue
        if entry.outcome == "current":
            found.current.append(entry.target)
        elif entry.outcome == "failed":
            found.failed[entry.target] = words_of(entry.standing) if entry.standing else ""
        elif entry.unit in _THERE or waited_s < (GIVEN_S if entry.outcome == "given" else AWAY_S):
            found.late[entry.target] = _why_late(entry)
        else:
            found.away.append(entry.target)
    return found


def _why_late(entry: TargetEntry) -> str:
    if entry.outcome == "given":
        return "it was given its bundles and has not said what came of it"
    unit = f"its unit is {entry.unit}" if entry.unit else "no unit has its name"
    return f"it has not asked for its bundles ({unit}; does the provisioning server run? inaetics status)"


def tell(found: Followed) -> None:
    """Name every target that is not where it shall be."""
    for target, reason in _first(found.failed):
        say(f"{target} {reason}")
    for target, reason in _first(found.late):
        say(f"{target} is not in time: {reason} (its words: fleetctl journal {target})")
    if found.away:
        names = ", ".join(found.away[:MOST_NAMED]) + (", …" if len(found.away) > MOST_NAMED else "")
        one = len(found.away) == 1
        say(f"not there: {names}; {'it gets its' if one else 'they get their'} bundles on coming back")


def _first(reasons: dict[str, str]) -> list[tuple[str, str]]:
    if len(reasons) <= MOST_NAMED:
        return list(reasons.items())
    left = len(reasons) - MOST_NAMED
    return [*list(reasons.items())[:MOST_NAMED], (f"and {left} more", "like these (inaetics deploy show --all)")]
