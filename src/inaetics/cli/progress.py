"""Steps with their times on stderr: one line a step, rewritten in place on a terminal while it is under way."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from inaetics import terminal
from inaetics.logs import configure_logs

WIDTH = 30
WIDE = 67
"""Columns of a finished line, where there are so many."""


class TerminalProgress:
    """`Progress` for people. Without a terminal only finished steps are printed.

    A command that shows its progress also keeps the logs of what it calls out of its output, warnings excepted.
    """

    def __init__(self) -> None:
        self._live = terminal.writes_over(sys.stderr)
        configure_logs(level=os.environ.get("INAETICS_LOG_LEVEL", "warning"))

    @contextmanager
    def step(self, what: str) -> Iterator[TerminalStep]:
        step = TerminalStep(what, live=self._live)
        try:
            yield step
        except BaseException:
            step.end("✗", "red")
            raise
        step.end("✓", "green")

    def note(self, text: str) -> None:
        click.echo(text, err=True)


class TerminalStep:
    """One line of a `TerminalProgress`."""

    def __init__(self, what: str, *, live: bool) -> None:
        self._what = what
        self._live = live
        self._detail = ""
        self._columns = terminal.width(sys.stderr) if live else WIDE
        self._began = time.monotonic()
        self._show("…", "cyan")

    def update(self, detail: str) -> None:
        if detail != self._detail:
            self._detail = detail
            self._show("…", "cyan")

    def end(self, mark: str, color: str) -> None:
        """Print the line as it stays, with the time it took."""
        took = f"{time.monotonic() - self._began:5.1f} s"
        line = self._words().ljust(min(self._columns, WIDE) - len(f"{mark} {took}  ") - 1)
        click.echo(f"{self._start()}{terminal.painted(mark, color)} {line}  {terminal.painted(took, 'dim')}", err=True)

    def _show(self, mark: str, color: str) -> None:
        if self._live:
            # What is longer than the terminal is wide would not be written over, but below.
            line = self._words()[: max(0, self._columns - len(f"{mark} ") - 1)]
            click.echo(f"{self._start()}{terminal.painted(mark, color)} {line}", err=True, nl=False)

    def _start(self) -> str:
        return "\r\033[K" if self._live else ""

    def _words(self) -> str:
        return f"{self._what:<{WIDTH}} {self._detail}"
