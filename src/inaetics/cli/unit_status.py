"""A unit's status as people read it, and whether it runs. Pure: what was read in, lines out.

A global unit has a state on each machine: it runs when it is active on every machine that may run it and on every one
that has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from inaetics.cli.common import table_lines
from inaetics.cli.explaining import explanation_lines

if TYPE_CHECKING:
    from inaetics.api.wire import ExplainReport, MachineRef, StateEntry, UnitEntry

_RUNNING = frozenset({"active", "reloading", "activating"})
_INDENT = " " * 11


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What is known of one unit: `states` of one that is global, `report` where it waits or is global."""

    unit: UnitEntry
    states: Sequence[StateEntry] = ()
    report: ExplainReport | None = None

    @property
    def runs(self) -> bool:
        """Is it active, or on the way to it, everywhere where it is to be?"""
        if self.unit.is_global:
            return bool(self.states) and not self.missing and all(each.active in _RUNNING for each in self.states)
        return self.unit.active in _RUNNING

    @property
    def missing(self) -> tuple[str, ...]:
        """The machines that may run a global unit and report nothing of it."""
        if self.report is None or self.unit.desired == "inactive":
            return ()
        known = {state.machine.id for state in self.states}
        return tuple(each.name for each in self.report.machines if each.fits and each.machine not in known)

    def lines(self) -> Iterator[str]:
        """What `fleetctl status` shows, without events and journals."""
        unit = self.unit
        yield f"● {unit.name}" + (f" - {unit.description}" if unit.description else "")
        facts = self._of_all() if unit.is_global else self._of_one()
        yield from (f"{key:>9}: {value}" for key, value in facts.items() if value)
        if unit.is_global and (rows := [*map(_row, self.states), *((name, "no report yet") for name in self.missing)]):
            yield from (f"{_INDENT}{line}" for line in table_lines((), rows))
        elif self.report and (unit.waits or (unit.is_global and unit.desired != "inactive")):
            yield from (f"{_INDENT}{line}" for line in explanation_lines(self.report, indent=len(_INDENT)))

    def _of_one(self) -> dict[str, str | None]:
        unit = self.unit
        since = f" since {_time(unit.since)}" if unit.since and unit.active else ""
        return {
            "Loaded": f"{unit.load or 'not loaded'} ({unit.hash[:7]})",
            "Image": _image(unit),
            "Active": f"{_active(unit.active, unit.sub, unit.result)}{since}",
            "Wanted": f"{unit.desired}, is {unit.current}",
            "Machine": _machine(unit.machine),
            "Placed": unit.placed,
            "Waits": unit.reason,
            "Message": unit.message,
        }

    def _of_all(self) -> dict[str, str | None]:
        unit = self.unit
        loaded = sum(state.load == "loaded" for state in self.states)
        active = sum(state.active in _RUNNING for state in self.states)
        of = f"of {len(self.states) + len(self.missing)} machines"
        nowhere = self.report.summary if self.report and not self.states and unit.desired != "inactive" else None
        return {
            "Loaded": f"on {loaded} {of} ({unit.hash[:7]})",
            "Image": _image(unit),
            "Active": f"on {active} {of}",
            "Wanted": f"{unit.desired}, on every machine that fits",
            "Waits": nowhere,
        }


def _row(state: StateEntry) -> tuple[str, str]:
    since = f" since {_time(state.since)}" if state.since else ""
    message = f": {state.message}" if state.message else ""
    return state.machine.name, f"{_active(state.active, state.sub, state.result)}{since}{message}"


def _active(active: str | None, sub: str | None, result: str | None) -> str:
    if active is None:
        return "inactive"
    return f"{active} ({sub}, {result})" if result and result != "success" else f"{active} ({sub})"


def _image(unit: UnitEntry) -> str | None:
    """The tag that it follows, and the first digits of the digest that it keeps."""
    name, at, digest = (unit.image or "").partition("@sha256:")
    return f"{name}{at}{digest[:12]}" if digest else name and f"{name} (which digest it runs is not known yet)"


def _machine(machine: MachineRef | None) -> str | None:
    return f"{machine.name} ({machine.id}/{machine.address})" if machine else None


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%a %Y-%m-%d %H:%M:%S UTC")
