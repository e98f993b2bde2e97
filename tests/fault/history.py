"""What happened, as values: what units said of themselves, and every revision of the store. Pure.

Units write `TIME KIND HOST UNIT PID` (start, beat, stop) to a file outside of their hosts; the recorder writes one JSON
object a change of the store. All times are seconds of CLOCK_BOOTTIME, which all hosts of a test share.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from inaetics.fleet import keys

Record = dict[str, Any]
"""One line of the recorder: `at`, and either `revision`, `key`, `value`, or `gap`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One process of a unit: from its first word to its last. It ran in between, and perhaps a beat longer."""

    unit: str
    host: str
    pid: int
    begin: float
    last: float
    stopped: bool = False
    """Whether it said good-bye; otherwise it was killed, or runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """At `revision` a placement was written, marked for withdrawal, or (`there` is false) removed."""

    revision: int
    at: float
    unit: str
    host: str
    there: bool = True
    withdraw: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """A machine's key went: its lease ended, or it signed off."""

    at: float
    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Everything known of a test's cluster. `everywhere` names the global units."""

    runs: tuple[Run, ...] = ()
    placements: tuple[Placed, ...] = ()
    losses: tuple[Loss, ...] = ()
    everywhere: frozenset[str] = field(default=frozenset())
    until: float = 0.0
    """When the last of it was collected."""


def runs(lines: Iterable[str]) -> tuple[Run, ...]:
    """The runs in the lines of units' files, each file's lines in order."""
    open_runs: dict[tuple[str, str, int], Run] = {}
    ended: list[Run] = []
    for line in lines:
        at, kind, host, unit, pid = line.split()
        key = (unit, host, int(pid))
        if kind == "start" and key in open_runs:
            ended.append(open_runs.pop(key))  # the number was given out again
        known = open_runs.get(key)
        if known is None:
            open_runs[key] = Run(unit=unit, host=host, pid=int(pid), begin=float(at), last=float(at))
        else:
            open_runs[key] = replace(known, last=float(at), stopped=kind == "stop")
    return tuple(sorted((*ended, *open_runs.values()), key=lambda run: (run.begin, run.unit)))


def placements(records: Iterable[Record], hosts: Mapping[str, str]) -> tuple[Placed, ...]:
    """The placements in what the recorder wrote, in revision order; `hosts` maps machine ids to hosts' names."""
    found = [_placed(record, hosts) for record in records if record.get("key", "").startswith(keys.PLACEMENTS)]
    return tuple(sorted(found, key=lambda placed: placed.revision))


def _placed(record: Record, hosts: Mapping[str, str]) -> Placed:
    machine, unit = keys.on_machine(record["key"].removeprefix(keys.PLACEMENTS))
    value = record["value"]
    return Placed(
        revision=record["revision"],
        at=record["at"],
        unit=unit,
        host=hosts.get(machine, machine),
        there=value is not None,
        withdraw=value is not None and bool(json.loads(value).get("withdraw")),
    )


def losses(records: Iterable[Record], hosts: Mapping[str, str]) -> tuple[Loss, ...]:
    """When machines' keys went, in revision order."""
    gone = [each for each in records if each.get("key", "").startswith(keys.MACHINES) and each["value"] is None]
    ids = [(each["revision"], each["at"], each["key"].removeprefix(keys.MACHINES)) for each in gone]
    return tuple(Loss(at=at, host=hosts.get(machine, machine)) for _, at, machine in sorted(ids))
