"""The explanation of a unit as people read it: the same lines in `explain`, in `status`, and where `start` waits.

A row a machine and a column a constraint, so that every verdict is seen at once; then, in words, why the machine does
not fit, or why it does. Of many machines those with the same verdicts share a row.
"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from inaetics.cli.common import table_lines

if TYPE_CHECKING:
    from inaetics.api.wire import ExplainReport, MachineVerdict

FEW = 10
"""So many machines have a row each; of more, those with the same verdicts share one."""

_SAID = 3
"""So many reasons, and so many names, are shown in a row that many machines share; the others are counted."""

_LEAST = 40
"""Columns that the reasons need beside the verdicts; where fewer are left they have lines of their own."""

_UNBOUNDED = 100_000
"""The width where no terminal is: what is piped has a line a row."""


class _Row(NamedTuple):
    machines: str
    verdicts: tuple[str, ...]
    because: str


def explanation_lines(report: ExplainReport, *, indent: int = 0, columns: int | None = None) -> Iterator[str]:
    """What each machine says to each constraint, and what would help; to be printed behind `indent` spaces.

    `columns` is the terminal's width where nobody tells.
    """
    if report.machines:
        room = (columns or shutil.get_terminal_size((_UNBOUNDED, 0)).columns) - indent
        constraints = tuple(dict.fromkeys(each.constraint for one in report.machines for each in one.constraints))
        yield from _table(constraints, list(_rows(report.machines, constraints)), room)
    yield from (f"would help: {remedy}" for remedy in report.remedies)


def states_lines(report: ExplainReport) -> Iterator[str]:
    """What machines report of the unit: a line each, or where they are many a line for those that say the same."""
    if len(report.states) <= FEW:
        yield from report.states
        return
    same: dict[str, list[str]] = {}
    for state in report.states:
        machine, _, words = state.partition(": ")
        same.setdefault(words, []).append(machine)
    yield from (f"{together(names)}: {words}" for words, names in same.items())


def _rows(machines: Sequence[MachineVerdict], constraints: Sequence[str]) -> Iterator[_Row]:
    if len(machines) <= FEW:
        for machine in machines:
            yield _Row(_name(machine), _verdicts(machine, constraints), "; ".join(_reasons(machine)))
        return
    alike: dict[tuple[str, ...], list[MachineVerdict]] = {}
    for machine in machines:
        alike.setdefault(_verdicts(machine, constraints), []).append(machine)
    for verdicts, group in alike.items():
        yield _Row(together([_name(machine) for machine in group]), verdicts, "; ".join(_said(group)))


def _name(machine: MachineVerdict) -> str:
    return machine.name or machine.machine


def _verdicts(machine: MachineVerdict, constraints: Sequence[str]) -> tuple[str, ...]:
    """Whether it fits, then each constraint's verdict; one that is there for several keys or units fails with any."""
    holds: dict[str, bool] = {}
    for each in machine.constraints:
        holds[each.constraint] = each.holds and holds.get(each.constraint, True)
    words = {None: "-", True: "ok", False: "fails"}
    return ("yes" if machine.fits else "no", *(words[holds.get(constraint)] for constraint in constraints))


def _reasons(machine: MachineVerdict) -> list[str]:
    against = [each.because for each in machine.constraints if not each.holds]
    return against or [each.because for each in machine.constraints if each.because]


def _said(group: Sequence[MachineVerdict]) -> Iterator[str]:
    """What machines with the same verdicts say: what all do, then who says what else, the commonest first."""
    said: dict[str, list[str]] = {}
    for machine in group:
        for reason in _reasons(machine):
            said.setdefault(reason, []).append(_name(machine))
    some = sorted((item for item in said.items() if len(item[1]) < len(group)), key=lambda item: -len(item[1]))
    yield from (reason for reason, names in said.items() if len(names) == len(group))
    yield from (f"{reason} ({together(names)})" for reason, names in some[:_SAID])
    if (left := len(some) - _SAID) > 0:
        yield f"{left} more reasons like these (all: --output json)"


def together(names: Sequence[str]) -> str:
    """Names in their order on one line, numbers in a row as a range: `worker-{1..40}, worker-43 and 7 more`."""
    runs = list(_runs(names))
    left = sum(count for _, count in runs[_SAID:])
    return ", ".join(text for text, _ in runs[:_SAID]) + (f" and {left} more" if left else "")


def _runs(names: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Names, or ranges of three and more, each with how many names it stands for."""
    run: list[str] = []
    for name in names:
        if run and not _follows(run[-1], name):
            yield from _written(run)
            run = []
        run.append(name)
    yield from _written(run)


def _follows(before: str, name: str) -> bool:
    prefix, number = _numbered(before)
    return number == str(int(number or "0")) and name == f"{prefix}{int(number) + 1}"


def _numbered(name: str) -> tuple[str, str]:
    """What a name ends in digits after, and those."""
    prefix = name.rstrip("0123456789")
    return prefix, name[len(prefix) :]


def _written(run: Sequence[str]) -> Iterator[tuple[str, int]]:
    if len(run) < 3:
        yield from ((name, 1) for name in run)
        return
    prefix, first = _numbered(run[0])
    yield f"{prefix}{{{first}..{_numbered(run[-1])[1]}}}", len(run)


def _table(constraints: Sequence[str], rows: Sequence[_Row], room: int) -> Iterator[str]:
    left = list(table_lines(("MACHINE", "FITS", *constraints), [(row.machines, *row.verdicts) for row in rows]))
    width = max(map(len, left)) + 2
    if room - width >= _LEAST:
        yield f"{left[0]:<{width}}BECAUSE"
        for line, row in zip(left[1:], rows, strict=True):
            yield from _wrapped(row.because, room, f"{line:<{width}}", " " * width)
    else:
        yield left[0]
        for line, row in zip(left[1:], rows, strict=True):
            yield line
            yield from _wrapped(row.because, room, "    ", "    ")


def _wrapped(text: str, room: int, first: str, then: str) -> list[str]:
    return textwrap.wrap(
        text or "-", room, initial_indent=first, subsequent_indent=then, break_long_words=False, break_on_hyphens=False
    )
