"""Waiting until targets run a version of the mapping, and going back as a whole when one of them cannot.

Judged is what the targets themselves said, as their audit logs have it. A target of which nothing is heard and whose
unit does not run is not waited for: it gets what it shall run when it comes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from inaetics.cli.common import say
from inaetics.errors import Conflict, Unavailable

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
AGAIN_S = 0.2
MOST_NAMED = 10

_THERE = frozenset({"active", "activating", "reloading"})


class Step(Protocol):
    """Where progress is shown."""

    def update(self, detail: str) -> None: ...


@dataclass(slots=True, kw_only=True)
class Followed:
    """What became of the targets that were waited for: target → reason, where there is one."""

    version: int
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
    stop_at: Callable[[str], bool] = lambda target: False,
) -> Followed:
    """Wait until each of `names` runs `version` or has failed, at most `within_s`; with `others` also those that do
    not run what they shall for another reason. Ends at the first failure of a target that `stop_at` names.

    Raises `Conflict` when another version is put in force meanwhile.
    """
    from inaetics.api.provisioning_client import targets

    began, asked = time.monotonic(), set(names)
    while True:
        listed = _listed(lambda: targets(client), until=began + within_s)
        waited = time.monotonic() - began
        found = _look(listed, asked, version, waited_s=waited, others=others)
        step.update(f"{len(found.current)} of {found.count} targets run it")
        if not found.late or waited >= within_s or any(map(stop_at, found.failed)):
            return found
        time.sleep(min(AGAIN_S, max(began + within_s - time.monotonic(), 0.01)))


def _listed(ask: Callable[[], TargetList], *, until: float) -> TargetList:
    """The answer, also when an API dies or the store is silent in between."""
    while True:
        try:
            return ask()
        except Unavailable:
            if time.monotonic() >= until:
                raise
            time.sleep(AGAIN_S)


def _look(listed: TargetList, asked: set[str], version: int, *, waited_s: float, others: bool) -> Followed:
    if listed.version != version:
        raise Conflict(
            f"version {listed.version} was put in force meanwhile: version {version} is waited for no more "
            "(who did it: inaetics deploy history)"
        )
    found = Followed(version=version)
    if others:
        asked |= {each.target for each in listed.targets if each.outcome != "current" and each.unit in _THERE}
    for entry in listed.targets:
        if entry.target not in asked:
            continue
        if entry.outcome == "current":
            found.current.append(entry.target)
        elif entry.outcome == "failed":
            found.failed[entry.target] = reason_of(entry)
        elif entry.unit in _THERE or waited_s < (GIVEN_S if entry.outcome == "given" else AWAY_S):
            found.late[entry.target] = _why_late(entry)
        else:
            found.away.append(entry.target)
    return found


def reason_of(entry: TargetEntry) -> str:
    """What a target that failed said, and what it runs now."""
    if entry.standing is None:
        return ""
    last, running = entry.standing.last, entry.standing.running
    if not running:
        done = "refused it and runs nothing"
    elif last.event == "rolled-back":
        done = f"went back to deployment {running}"
    else:
        done = f"refused it and runs deployment {running} on"
    return f"{done}: {last.error or 'no reason was given'}"


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
