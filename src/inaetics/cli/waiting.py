"""Waiting for units: one held request at a time, a line for each unit that arrives, and never a silent wait.

Each change of a unit is read once: waiting for a thousand units costs a thousand entries.

A unit that fits nowhere is waited for a moment (a machine may be just coming up), then its reason is printed, with what
each machine says to it and what would help, and the command goes on without it; what was asked of it stays asked, and
it starts when there is room.

A global unit is not waited for, as in the original: machines come and go. How many it fits is said, and where to look.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from inaetics.cli.common import say
from inaetics.cli.explaining import explanation_lines
from inaetics.cli.triggering import say_where, triggered
from inaetics.cli.verdicts import WAITS_STANDS_S, Broken, Everywhere, Pending, Reached, Verdict, Waits
from inaetics.errors import InaeticsError

if TYPE_CHECKING:
    from inaetics.api.client import FleetClient
    from inaetics.api.wire import ExplainReport, UnitEntry

ATTEMPT_S = 0.5
"""What one of the original's `--block-attempts` stood for."""

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


_NAMED = 50
"""So many units are asked for by name; waiting for more, the news of all units are asked for."""


class _News:
    """What is known of units that are followed, at the cost of what changes."""

    def __init__(self, client: FleetClient, names: Iterable[str]) -> None:
        self._client = client
        self._names = names if len(names := tuple(names)) <= _NAMED else ()
        self._revision: int | None = None
        self.entries: dict[str, UnitEntry] = {}
        self.reported: set[str] = set()

    def hear(self, wait_s: float) -> set[str]:
        """Wait for news, at most so long; returns the names of units of which something was heard."""
        told = self._client.changes(self._names, after=self._revision, wait_s=wait_s)
        self._revision = told.revision
        heard = set(told.names)
        if told.complete:
            heard |= self.entries.keys() | self.reported
        for name in heard:
            self.entries.pop(name, None)
        self.entries |= {entry.name: entry for entry in told.units}
        self.reported -= heard
        self.reported |= set(told.reported)
        return heard


MAX_DOUBTS = 4
"""So often a wait is not believed that a machine would end; an engine that leads has decided by then."""

_EXPLAINED = 20
"""So many units that wait have their reason asked for, one by one."""


def _breathe(left: int) -> None:
    """Let news of many units gather: each answer costs as much as some of them together."""
    if left > _NAMED:
        time.sleep(min(0.05, left / 10_000))


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
        self._news = _News(client, names)
        self._reports: dict[str, ExplainReport] = {}
        self._shown: set[tuple[str, ...]] = set()
        self._undecided = False
        self._left = names
        self._judge = judge
        self._wanted = wanted
        self._started = time.monotonic()
        self._limit_s = attempts * ATTEMPT_S if attempts > 0 else None
        self._standing = {name: Standing() for name in names}
        self._outcome = Outcome()

    def run(self) -> Outcome:
        try:
            return self._run()
        except KeyboardInterrupt:
            some = ", ".join([*self._left][:3]) + (", …" if len(self._left) > 3 else "")
            say(f"what was asked of {some} goes on (see: fleetctl list-units; fleetctl status UNIT)")
            raise

    def _run(self) -> Outcome:
        fresh = set(self._left)
        while self._left:
            heard = self._news.hear(self._patience()) | fresh
            fresh = set()
            now = time.monotonic()
            due = {name for name in self._left if (at := self._standing[name].due) is not None and at <= now}
            self._undecided = False
            for name in [name for name in self._left if name in heard or name in due]:
                self._take(name, self._standing[name].hear(self._judge(self._news.entries.get(name)), now))
            if self._limit_s is not None and time.monotonic() - self._started >= self._limit_s:
                self._give_up()
            _breathe(len(self._left))
        self._look_once_more()
        return self._outcome

    def _look_once_more(self) -> None:
        """A program that cannot be run is active for an instant: tell it, if it shows by now."""
        if self._outcome.reached:
            self._news.hear(0.0)
        for name in self._outcome.reached:
            verdict = self._judge(self._news.entries.get(name))
            if isinstance(verdict, Broken) and not verdict.stands_s:
                self._outcome.broken[name] = verdict.note
                say(f"Unit {name}: {verdict.note}")

    def _take(self, name: str, verdict: Verdict | None) -> None:
        """Settle a unit whose verdict is believed; with a limit of attempts, waiting goes on to its end."""
        match verdict:
            case Reached():
                self._outcome.reached.append(name)
                click.echo(f"Unit {name} {verdict.state}" + (f" on {verdict.where}" if verdict.where else ""))
            case Broken():
                self._outcome.broken[name] = verdict.note
                say(f"Unit {name}: {verdict.note}")
            case Everywhere():
                self._let_go(name, verdict.verb)
            case Waits() if self._limit_s is None and self._is_settled(name):
                self._leave_waiting(name, verdict.note)
            case _:
                return
        del self._left[name]

    def _leave_waiting(self, name: str, note: str) -> None:
        why = self._outcome.waiting[name] = self._why(name, note)
        say(f"Unit {name} waits: {why}")
        self._show_verdicts(name)

    def _let_go(self, name: str, verb: str) -> None:
        """A global unit: it waits if it is to be somewhere and fits nowhere."""
        found = self._explained(name) if verb in ("start", "load") else None
        click.echo(triggered(name, verb, is_global=True))
        if found is not None and not any(machine.fits for machine in found.machines):
            self._leave_waiting(name, found.summary)
        else:
            self._outcome.reached.append(name)
            say_where(name, found)

    def _is_settled(self, name: str) -> bool:
        """Whether the unit waits because no machine fits; else the engine has not come to it yet: be patient a while.

        When it has not come to one, it has not come to the others either that are looked at now.
        """
        if not self._undecided:
            found = self._explained(name)
            self._undecided = found is not None and any(machine.fits for machine in found.machines)
            if self._undecided:
                del self._reports[name]
        return not self._undecided or not self._standing[name].doubt(time.monotonic())

    def _explained(self, name: str) -> ExplainReport | None:
        """The explanation of a unit that waits; of the first few only, since they mostly wait for the same."""
        if name not in self._reports:
            if len(self._reports) >= _EXPLAINED:
                return None
            try:
                self._reports[name] = self._client.explain(name)
            except InaeticsError:  # it was destroyed, or its API died: what is heard next tells, and who waits goes on
                return None
        return self._reports[name]

    def _why(self, name: str, note: str) -> str:
        found = self._explained(name)
        return found.summary if found else note

    def _show_verdicts(self, name: str) -> None:
        """What each machine says, and what would help; not again for the next unit that hears the same."""
        found = self._explained(name)
        lines = tuple(explanation_lines(found, indent=2)) if found else ()
        if lines and lines not in self._shown:
            self._shown.add(lines)
            say("\n".join(f"  {line}" for line in lines))

    def _patience(self) -> float:
        """How long the next request may be held."""
        now = time.monotonic()
        due = [due for name in self._left if (due := self._standing[name].due) is not None]
        if self._limit_s is not None:
            due.append(self._started + self._limit_s)
        return max(0.05, min([HOLD_S, *(each - now for each in due)]))

    def _give_up(self) -> None:
        for name in self._left:
            note = self._standing[name].note
            if self._standing[name].waits:
                note = self._why(name, note)
            self._outcome.broken[name] = note
            say(f"timed out waiting for unit {name} to be {self._wanted}" + (f": {note}" if note else ""))
            if self._standing[name].waits:
                self._show_verdicts(name)
        self._left = {}


@dataclass(slots=True)
class Standing:
    """How long the same kind of verdict has stood for one unit. Pure: the clock is told."""

    note: str = ""
    due: float | None = None
    """When the present verdict is to be believed; None when it is already, and while there is nothing to believe."""
    doubts: int = 0
    _kind: type[Verdict] | None = None
    _since: float = 0.0

    @property
    def waits(self) -> bool:
        return self._kind is Waits

    def doubt(self, now: float) -> bool:
        """Let the verdict stand once more before it is believed, if it has not been doubted too often."""
        self.doubts += 1
        if self.doubts > MAX_DOUBTS:
            return False
        self._since, self.due = now, now + WAITS_STANDS_S
        return True

    def hear(self, verdict: Verdict, now: float) -> Verdict | None:
        """The verdict, once it has stood for as long as it must; None until then.

        Something pending does not clear an earlier failure: an attempt between two failures is no success.
        """
        self.note = verdict.note if not isinstance(verdict, Reached) else verdict.state
        if isinstance(verdict, Pending):
            if self._kind is not Broken:
                self._kind, self.due = Pending, None
            return None
        if self._kind is not type(verdict):
            self._kind, self._since = type(verdict), now
        due = self._since + verdict.stands_s
        self.due = due if now < due else None
        return verdict if self.due is None else None


def wait_until_gone(client: FleetClient, names: Iterable[str], *, attempts: int = 0) -> int:
    """Wait until no machine reports any of the destroyed units `names`; returns the exit code."""
    left = set(names)
    news = _News(client, left)
    limit_s = attempts * ATTEMPT_S if attempts > 0 else None
    started = time.monotonic()
    while True:
        news.hear(HOLD_S if limit_s is None else min(limit_s, HOLD_S))
        left &= news.reported
        if not left:
            return 0
        if limit_s is not None and time.monotonic() - started >= limit_s:
            say(f"timed out: machines still have {', '.join(sorted(left))}")
            return FAILED
        _breathe(len(left))
