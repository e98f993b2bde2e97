"""Journals of several units, and of units that move: one reader for each unit and machine, one printer for all.

Promises: lines come as they are written, each whole; what a reader has read waits for the printer within a bound, so
that output nobody reads fills no memory; a unit that turns up on another machine is read there too, and that is said.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from inaetics.cli.common import say
from inaetics.errors import Conflict, InaeticsError, NotFound

if TYPE_CHECKING:
    from inaetics.api.client import FleetClient
    from inaetics.api.wire import UnitEntry
    from inaetics.cli.session import Session

AGAIN_S = 1.0
"""How long until a journal that broke off, or is not there yet, is asked for again."""

HOLD_S = 5.0
_WAITING = 1000
"""Lines read and not printed yet."""


@dataclass(frozen=True, slots=True)
class Line:
    unit: str
    text: str


@dataclass(frozen=True, slots=True)
class Ended:
    """A journal that was followed ended, or was never there."""

    at: tuple[str, str]
    why: InaeticsError | None


@dataclass(frozen=True, slots=True)
class News:
    """What is known of some of the units now, None for one that is gone; and the machines of global units."""

    units: dict[str, UnitEntry | None]
    machines: dict[str, dict[str, str]]


class Printer:
    """Prints lines with the unit in front, where there are several."""

    def __init__(self, names: Iterable[str]) -> None:
        names = list(names)
        self._width = max(map(len, names)) if len(names) > 1 else 0

    def line(self, unit: str, text: str) -> None:
        """Print one line."""
        click.echo(f"{unit:<{self._width}} | {text}" if self._width else text)


def print_last(session: Session, names: list[str], *, lines: int, machine: str | None = None) -> int:
    """Print the last lines of every unit, and return; the exit code says whether each had a journal everywhere."""
    printer, code = Printer(names), 0
    with session.client() as client:
        for name in names:
            try:
                code = max(code, _print_one(client, printer, name, lines, machine))
            except NotFound as error:
                if len(names) == 1:
                    raise
                say(f"{name}: {error}")
                code = error.exit_code
    return code


def _print_one(client: FleetClient, printer: Printer, name: str, lines: int, machine: str | None) -> int:
    try:
        for text in client.journal(name, lines=lines, machine=machine):
            printer.line(name, text)
    except Conflict:
        if machine is not None:
            raise
        return _print_everywhere(client, printer, name, lines)
    return 0


def _print_everywhere(client: FleetClient, printer: Printer, name: str, lines: int) -> int:
    """The journals of a global unit, machine by machine; one that cannot be read keeps nobody from the others."""
    code = 0
    for state in client.states().states:
        if state.name == name:
            say(f"{name} on {state.machine.name}:")
            try:
                for text in client.journal(name, lines=lines, machine=state.machine.id):
                    printer.line(name, text)
            except InaeticsError as error:
                say(str(error))
                code = error.exit_code
    return code


class Following:
    """Follows units until interrupted, or until none of them is submitted any more; on one `machine` if named."""

    def __init__(self, session: Session, names: list[str], *, lines: int, machine: str | None = None) -> None:
        self._session = session
        self._machine = machine
        self._names = names
        self._lines = lines
        self._events: queue.Queue[Line | Ended | News] = queue.Queue(_WAITING)
        self._reading: set[tuple[str, str]] = set()
        self._where: dict[str, dict[str, str]] = {}
        self._told: dict[str, str] = {}
        self._again: dict[tuple[str, str], float] = {}

    def run(self) -> int:
        """Print until it is over; returns the exit code."""
        printer = Printer(self._names)
        self._start(self._watch, "units")
        left = set(self._names)
        while left:
            try:
                event = self._events.get(timeout=AGAIN_S / 2)
            except queue.Empty:
                self._retry()
                continue
            match event:
                case Line():
                    printer.line(event.unit, event.text)
                case Ended():
                    self._ended(event)
                case News():
                    left -= self._heard(event)
        return 0

    def _heard(self, news: News) -> set[str]:
        """Read where units are now; returns those that are gone."""
        gone = set()
        for name, entry in news.units.items():
            if entry is None:
                say(f"{name}: it was destroyed")
                gone.add(name)
                continue
            machines = _machines_of(entry, news.machines)
            chosen = self._chosen(machines)
            self._moved(name, chosen)
            if machines and not chosen:
                self._tell(
                    name, f"it is not on machine {self._machine!r} but on {', '.join(sorted(machines.values()))}"
                )
            else:
                self._tell(name, f"it waits: {entry.reason}" if entry.reason else "")
        return gone

    def _chosen(self, machines: dict[str, str]) -> dict[str, str]:
        wanted = self._machine
        if wanted is None:
            return machines
        return {at: name for at, name in machines.items() if name == wanted or at.startswith(wanted)}

    def _moved(self, name: str, machines: dict[str, str]) -> None:
        before = self._where.get(name)
        for machine in machines.keys() - (before or {}).keys():
            if before is not None:
                came = f" (was on {', '.join(before.values())})" if before else ""
                say(f"{name}: it is on {machines[machine]} now{came}")
            self._read(name, machine, lines=self._lines)
        if machines or before is None:
            self._where[name] = machines

    def _tell(self, name: str, what: str) -> None:
        if what and self._told.get(name) != what:
            say(f"{name}: {what}")
        self._told[name] = what

    def _ended(self, event: Ended) -> None:
        """A journal that ends while its unit is there is asked for again."""
        self._reading.discard(event.at)
        name, machine = event.at
        if machine not in self._where.get(name, {}):
            return
        if event.why is not None and not isinstance(event.why, NotFound):
            self._tell(name, f"its journal broke off: {event.why}")
        self._again[event.at] = time.monotonic() + AGAIN_S

    def _retry(self) -> None:
        now = time.monotonic()
        for at in [at for at, due in self._again.items() if due <= now]:
            del self._again[at]
            if at[1] in self._where.get(at[0], {}):
                self._read(*at, lines=0 if at[0] in self._told and self._told[at[0]] else self._lines)

    def _read(self, name: str, machine: str, *, lines: int) -> None:
        if (name, machine) in self._reading:
            return
        self._reading.add((name, machine))
        self._start(lambda: self._follow(name, machine, lines), f"{name} on {machine}")

    def _follow(self, name: str, machine: str, lines: int) -> None:
        """In a thread of its own: hand on a journal's lines."""
        why: InaeticsError | None = None
        try:
            with self._session.client() as client:
                for text in client.journal(name, lines=lines, follow=True, machine=machine):
                    self._events.put(Line(name, text))
        except InaeticsError as error:
            why = error
        self._events.put(Ended((name, machine), why))

    def _watch(self) -> None:
        """In a thread of its own: hand on what becomes of the units."""
        while True:
            try:
                for news in self._news():
                    self._events.put(news)
            except InaeticsError:  # every API is away: the readers say so
                time.sleep(AGAIN_S)

    def _news(self) -> Iterator[News]:
        revision: int | None = None
        wanted = frozenset(self._names)
        with self._session.client() as client:
            while True:
                told = client.changes(self._names[:50] if len(wanted) <= 50 else (), after=revision, wait_s=HOLD_S)
                revision = told.revision
                entries = {entry.name: entry for entry in told.units}
                heard = wanted if told.complete else wanted & set(told.names)
                machines: dict[str, dict[str, str]] = {}
                if any(entries[name].is_global for name in heard if name in entries):
                    for state in client.states().states:
                        machines.setdefault(state.name, {})[state.machine.id] = state.machine.name
                if heard:
                    yield News({name: entries.get(name) for name in heard}, machines)

    def _start(self, work: object, name: str) -> None:
        assert callable(work)
        threading.Thread(target=work, name=f"logs: {name}", daemon=True).start()


def _machines_of(entry: UnitEntry, machines: dict[str, dict[str, str]]) -> dict[str, str]:
    """The machines an entry's unit is on: names by ids."""
    if entry.is_global:
        return machines.get(entry.name, {})
    return {entry.machine.id: entry.machine.name} if entry.machine is not None else {}
