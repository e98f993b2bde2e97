"""Waiting for units: one held request at a time, a line for each unit that arrives, and never a silent wait.

A unit that fits nowhere is waited for a moment (a machine may be just coming up), then its reason is printed and the
command goes on without it; what was asked of it stays asked, and it starts when there is room.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from inaetics.cli.common import say
from inaetics.cli.verdicts import Broken, Pending, Reached, Verdict, Waits

if TYPE_CHECKING:
    from inaetics.api.client import FleetClient
    from inaetics.api.wire import UnitEntry

ATTEMPT_S = 0.5
"""What one of the original's `--block-attempts` stood for."""

PATIENCE_S = 2.0
"""How long a unit that fits nowhere is waited for before its reason is told."""

HOLD_S = 5.0
"""How long one request is held; also how often the clock is looked at while nothing changes."""

FAILED, WAITING = 1, 3
"""Exit codes: a unit failed or took too long; a unit waits for a machine."""


@dataclass(slots=True)
class Outcome:
    """What became of the units waited for."""

    reached: list[str] = field(default_factory=list)
    waiting: dict[str, str] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0 when every unit is what was asked."""
        return FAILED if self.broken else WAITING if self.waiting else 0


def wait_for(
    client: FleetClient,
    names: Iterable[str],
    judge: Callable[[UnitEntry | None], Verdict],
    *,
    attempts: int = 0,
    wanted: str,
) -> Outcome:
    """Wait until `judge` has a final verdict on each unit; at most `attempts` half seconds (0: no limit)."""
    return _Wait(client, dict.fromkeys(names), judge, attempts, wanted).run()


class _Wait:
    def __init__(
        self,
        client: FleetClient,
        names: dict[str, None],
        judge: Callable[[UnitEntry | None], Verdict],
        attempts: int,
        wanted: str,
    ) -> None:
        self._client = client
        self._left = names
        self._judge = judge
        self._wanted = wanted
        self._started = time.monotonic()
        self._limit_s = attempts * ATTEMPT_S if attempts > 0 else None
        self._waiting_since: dict[str, float] = {}
        self._notes: dict[str, str] = {}
        self._outcome = Outcome()

    def run(self) -> Outcome:
        revision: int | None = None
        while self._left:
            listed = self._client.units(after=revision, wait_s=self._patience())
            revision = listed.revision
            entries = {entry.name: entry for entry in listed.units}
            for name in list(self._left):
                self._take(name, self._judge(entries.get(name)))
            if self._limit_s is not None and time.monotonic() - self._started >= self._limit_s:
                self._give_up()
        return self._outcome

    def _take(self, name: str, verdict: Verdict) -> None:
        if not isinstance(verdict, Waits):
            self._waiting_since.pop(name, None)
        match verdict:
            case Reached():
                del self._left[name]
                self._outcome.reached.append(name)
                click.echo(f"Unit {name} {verdict.state}" + (f" on {verdict.where}" if verdict.where else ""))
            case Broken():
                del self._left[name]
                self._outcome.broken[name] = verdict.why
                say(f"Unit {name}: {verdict.why}")
            case Waits():
                self._wait_longer(name, verdict.reason)
            case Pending():
                self._notes[name] = verdict.note

    def _wait_longer(self, name: str, reason: str) -> None:
        now = time.monotonic()
        since = self._waiting_since.setdefault(name, now)
        self._notes[name] = reason
        if self._limit_s is None and now - since >= PATIENCE_S:
            del self._left[name]
            self._outcome.waiting[name] = reason
            say(f"Unit {name} waits: {reason}")

    def _patience(self) -> float:
        """How long the next request may be held."""
        now = time.monotonic()
        due = [since + PATIENCE_S - now for since in self._waiting_since.values()] if self._limit_s is None else []
        if self._limit_s is not None:
            due.append(self._started + self._limit_s - now)
        return max(0.05, min([HOLD_S, *due]))

    def _give_up(self) -> None:
        for name in self._left:
            note = self._notes.get(name, "")
            self._outcome.broken[name] = note
            say(f"timed out waiting for unit {name} to be {self._wanted}" + (f": {note}" if note else ""))
        self._left = {}


def wait_until_gone(client: FleetClient, names: Iterable[str], *, attempts: int = 0) -> int:
    """Wait until no machine reports any of the destroyed units `names`; returns the exit code."""
    left = set(names)
    limit_s = attempts * ATTEMPT_S if attempts > 0 else None
    started, revision = time.monotonic(), None
    while True:
        listed = client.states(after=revision, wait_s=HOLD_S if limit_s is None else min(limit_s, HOLD_S))
        revision = listed.revision
        left &= {state.name for state in listed.states}
        if not left:
            return 0
        if limit_s is not None and time.monotonic() - started >= limit_s:
            say(f"timed out: machines still have {', '.join(sorted(left))}")
            return FAILED
