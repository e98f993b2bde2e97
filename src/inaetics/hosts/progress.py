"""How long work tells people where it is. The command line prints it; who calls from code may not care."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Step(Protocol):
    """One step under way."""

    def update(self, detail: str) -> None:
        """Say how far it is (`3 of 5`), or what came of it; the last words stay."""


class Progress(Protocol):
    """Steps one after another, each timed from its `with` to its end."""

    def step(self, what: str) -> AbstractContextManager[Step]:
        """Begin `what`. Left by an error, the step has failed."""

    def note(self, text: str) -> None:
        """Tell something that is no step, such as a warning."""


class Silence:
    """Tells nobody."""

    @contextmanager
    def step(self, what: str) -> Iterator[Silence]:
        yield self

    def update(self, detail: str) -> None:
        """Told nobody."""

    def note(self, text: str) -> None:
        """Told nobody."""
