"""Steps with their times on stderr: one line a step, rewritten in place on a terminal while it is under way."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from inaetics.logs import configure_logs

WIDTH = 30


class TerminalProgress:
    """`Progress` for people. Without a terminal only finished steps are printed.

    A command that shows its progress also keeps the logs of what it calls out of its output, warnings excepted.
    """

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
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
        self._began = time.monotonic()
        self._show("…", "cyan")

    def update(self, detail: str) -> None:
        if detail != self._detail:
            self._detail = detail
            self._show("…", "cyan")

    def end(self, mark: str, color: str) -> None:
        """Print the line as it stays, with the time it took."""
        took = f"{time.monotonic() - self._began:5.1f} s"
        click.echo(f"{self._line(mark, color)}  {click.style(took, dim=True)}", err=True)

    def _show(self, mark: str, color: str) -> None:
        if self._live:
            click.echo(self._line(mark, color), err=True, nl=False)

    def _line(self, mark: str, color: str) -> str:
        start = "\r\033[K" if self._live else ""
        detail = f"{self._what:<{WIDTH}} {self._detail:<24}"
        return f"{start}{click.style(mark, fg=color)} {detail}"
