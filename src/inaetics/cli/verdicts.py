"""How far units are on the way to what was asked of them. Pure: an entry in, a verdict out.

A verdict is believed once it has stood for `stands_s`: a unit that is inactive may have ended well or not have begun
yet, one that fits nowhere may fit in a moment, one that failed may run at its supervisor's second attempt.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from inaetics.api.wire import UnitEntry

ENDED_STANDS_S = 1.0
WAITS_STANDS_S = 2.0
AGAIN_STANDS_S = 15.0
"""Longer than the RestartSec=10 of the original's units: by then a second attempt was made."""


@dataclass(frozen=True, slots=True)
class Pending:
    """On its way; `note` is what it does now."""

    note: str = ""
    stands_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Reached:
    """It is what was asked; `where` names the machine, if there is one."""

    state: str
    where: str = ""
    stands_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Waits:
    """No machine can take it now."""

    note: str
    stands_s: float = WAITS_STANDS_S


@dataclass(frozen=True, slots=True)
class Broken:
    """It will not become what was asked without somebody's help."""

    note: str
    stands_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Everywhere:
    """A global unit is told to `verb`: nobody waits for it, since it is on every machine that fits, now and later."""

    verb: str
    note: str = ""
    stands_s: float = 0.0


Verdict = Pending | Reached | Waits | Broken | Everywhere


def judge_start(entry: UnitEntry | None) -> Verdict:
    """Does the unit run? A oneshot that has run well counts as running."""
    if entry is None:
        return Broken("somebody destroyed it meanwhile")
    if entry.desired != "launched":
        return Broken(f"somebody asked for it to be {entry.desired} meanwhile")
    if entry.is_global:
        return Everywhere("start")
    if entry.reason is not None:
        return Waits(entry.reason)
    if entry.load == "error":
        return Broken(_failure(entry))
    if entry.current != "launched":
        return Pending(entry.current)
    return _judge_launched(entry)


def _judge_launched(entry: UnitEntry) -> Verdict:
    match entry.active, entry.sub:
        case "active" | "reloading", _:
            return Reached("launched", _where(entry))
        case "inactive", _ if entry.result in ("success", "", None):
            return Reached("launched", _where(entry), stands_s=ENDED_STANDS_S)
        case _, "auto-restart":
            return Broken(_failure(entry), stands_s=AGAIN_STANDS_S)
        case "failed" | "inactive", _:
            return Broken(_failure(entry))
        case _, "pulling":
            return Pending(f"{entry.active} ({entry.message or entry.sub})")
        case _:
            return Pending(f"{entry.active} ({entry.sub})")


def judge_load(entry: UnitEntry | None) -> Verdict:
    """Does a machine know the unit?"""
    if entry is None:
        return Broken("somebody destroyed it meanwhile")
    if entry.is_global:
        return Everywhere("load")
    if entry.reason is not None:
        return Waits(entry.reason)
    if entry.load == "error":
        return Broken(_failure(entry))
    if entry.current in ("loaded", "launched"):
        return Reached(entry.current, _where(entry))
    return Pending(entry.current)


def judge_stop(entry: UnitEntry | None) -> Verdict:
    """Does the unit run no more? On no machine it certainly does not."""
    if entry is None:
        return Reached("inactive")
    if entry.desired == "launched":
        return Broken("somebody started it again meanwhile")
    if entry.is_global:
        return Everywhere("stop")
    if entry.current == "launched":
        return Pending(f"{entry.active} ({entry.sub})")
    return Reached(entry.current, _where(entry))


def judge_unload(entry: UnitEntry | None) -> Verdict:
    """Is the unit on no machine any more?"""
    if entry is None:
        return Reached("inactive")
    if entry.desired != "inactive":
        return Broken(f"somebody asked for it to be {entry.desired} meanwhile")
    if entry.is_global:
        return Everywhere("unload")
    if entry.machine is not None:
        return Pending(entry.current)
    return Reached("inactive")


def _where(entry: UnitEntry) -> str:
    machine = entry.machine
    return f"{machine.id[:8]}.../{machine.address}" if machine else ""


def _failure(entry: UnitEntry) -> str:
    again = ", it is started again and again" if entry.sub == "auto-restart" else ""
    why = entry.message or entry.result or "no reason was reported"
    on = f" on {entry.machine.name or _where(entry)}" if entry.machine else ""
    return f"{entry.active} ({entry.sub}){on}: {why}{again} (its words: fleetctl journal {entry.name})"


def judge_restart(since: float) -> Callable[[UnitEntry | None], Verdict]:
    """What judges a unit that was told to restart, when its state was as old as `since`: does it run again?"""

    def judge(entry: UnitEntry | None) -> Verdict:
        verdict = judge_start(entry)
        if entry is None or isinstance(verdict, Waits) or entry.desired != "launched":
            return verdict
        if entry.since is None or entry.since <= since:
            return Pending("it was told to restart")
        return Reached("restarted", verdict.where, verdict.stands_s) if isinstance(verdict, Reached) else verdict

    return judge
