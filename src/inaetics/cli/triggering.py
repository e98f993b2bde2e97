"""What is said of units that nobody waits for: the original's words, and where to look."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from inaetics.cli.common import say

if TYPE_CHECKING:
    from inaetics.api.wire import ExplainReport, UnitEntry


def tell_triggered(units: Iterable[UnitEntry], verb: str) -> None:
    """Say that `verb` was asked for, of each unit; of global ones also where to see how far they are."""
    for unit in units:
        click.echo(triggered(unit.name, verb, is_global=unit.is_global))
        if unit.is_global:
            say_where(unit.name)


def triggered(name: str, verb: str, *, is_global: bool) -> str:
    """The original's line, which scripts may read."""
    return f"Triggered {'global ' if is_global else ''}unit {name} {verb}"


def say_where(name: str, found: ExplainReport | None = None) -> None:
    """Tell how many machines a global unit fits, if that is known, and what shows how it is on each."""
    fitting = sum(machine.fits for machine in found.machines) if found else 0
    of = f", for {fitting} of {len(found.machines)} machines" if found else ""
    say(f"Unit {name} is global{of}: not waited for (how it is on each: fleetctl status {name})")
