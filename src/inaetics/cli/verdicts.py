"""How far units are on the way to what was asked of them. Pure: an entry in, a verdict out.

A unit that fits nowhere may wait for ever: `Waits` says why, so that the person can decide.
"""

from __future__ import annotations

from dataclasses import dataclass

from inaetics.api.wire import UnitEntry


@dataclass(frozen=True, slots=True)
class Pending:
    """On its way; `note` is what it does now."""

    note: str = ""


@dataclass(frozen=True, slots=True)
class Reached:
    """It is what was asked; `where` names the machine, if there is one."""

    state: str
    where: str = ""


@dataclass(frozen=True, slots=True)
class Waits:
    """No machine can take it now."""

    reason: str


@dataclass(frozen=True, slots=True)
class Broken:
    """It will not become what was asked without somebody's help."""

    why: str


Verdict = Pending | Reached | Waits | Broken


def judge_start(entry: UnitEntry | None) -> Verdict:
    """Does the unit run? A oneshot that has run well counts as running."""
    if entry is None:
        return Broken("somebody destroyed it meanwhile")
    if entry.desired != "launched":
        return Broken(f"somebody asked for it to be {entry.desired} meanwhile")
    if entry.is_global:
        return Reached("launched", "every machine that fits")
    if entry.reason is not None:
        return Waits(entry.reason)
    if entry.current != "launched":
        return Pending(entry.current)
    match entry.active, entry.sub:
        case "active" | "reloading", _:
            return Reached("launched", _where(entry))
        case "inactive", _ if entry.result in ("success", "", None):
            return Reached("launched", _where(entry))
        case ("failed" | "inactive", _) | (_, "auto-restart"):
            return Broken(_failure(entry))
        case _:
            return Pending(f"{entry.active} ({entry.sub})")


def judge_load(entry: UnitEntry | None) -> Verdict:
    """Does a machine know the unit?"""
    if entry is None:
        return Broken("somebody destroyed it meanwhile")
    if entry.is_global:
        return Reached("loaded", "every machine that fits")
    if entry.reason is not None:
        return Waits(entry.reason)
    if entry.current in ("loaded", "launched"):
        return Reached(entry.current, _where(entry))
    return Pending(entry.current)


def judge_stop(entry: UnitEntry | None) -> Verdict:
    """Does the unit run no more? On no machine it certainly does not."""
    if entry is None:
        return Reached("inactive")
    if entry.desired == "launched":
        return Broken("somebody started it again meanwhile")
    if entry.current == "launched":
        return Pending(f"{entry.active} ({entry.sub})")
    return Reached(entry.current, _where(entry))


def judge_unload(entry: UnitEntry | None) -> Verdict:
    """Is the unit on no machine any more?"""
    if entry is None:
        return Reached("inactive")
    if entry.desired != "inactive":
        return Broken(f"somebody asked for it to be {entry.desired} meanwhile")
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
