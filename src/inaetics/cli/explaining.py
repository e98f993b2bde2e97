"""The explanation of a unit as people read it: the same lines in `explain`, in `status`, and where `start` waits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from inaetics.cli.common import table_lines

if TYPE_CHECKING:
    from inaetics.api.wire import ExplainReport, MachineVerdict

FEW = 10
"""So many machines are shown where the explanation is not what was asked for."""


def explanation_lines(report: ExplainReport, *, most: int | None = None) -> Iterator[str]:
    """What each machine says to the unit, and what would help; of at most `most` machines, the others are counted."""
    shown = report.machines[:most]
    yield from table_lines(("MACHINE", "FITS", "BECAUSE"), [_row(machine) for machine in shown]) if shown else ()
    if left := len(report.machines) - len(shown):
        yield f"and {left} more machine{'s' if left > 1 else ''} (fleetctl explain {report.unit})"
    yield from (f"would help: {remedy}" for remedy in report.remedies)


def _row(machine: MachineVerdict) -> tuple[str, str, str]:
    against = [verdict.because for verdict in machine.constraints if not verdict.holds]
    because = against or [verdict.because for verdict in machine.constraints if verdict.because]
    return machine.name or machine.machine, "yes" if machine.fits else "no", "; ".join(because)
