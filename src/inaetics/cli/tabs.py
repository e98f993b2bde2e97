"""Tables as the original fleetctl printed them: cells filled up with tabs to multiples of eight, so that `cut -f1`,
`awk` and people all read them. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

TAB = 8


def tab_lines(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Align `rows` with tabs; the last column is left as it is, and a cell that is empty is shown as `-`."""
    cells = [[cell or "-" for cell in row] for row in rows]
    columns = list(zip(*cells, strict=True))[:-1]
    widths = [_width(column) for column in columns]
    for row in cells:
        aligned = [cell + "\t" * _tabs(cell, width) for cell, width in zip(row, widths, strict=False)]
        yield "".join([*aligned, row[-1]])


def _width(column: Sequence[str]) -> int:
    """The next multiple of a tab that leaves room for at least one column of white space."""
    longest = max(len(cell) for cell in column)
    return (longest // TAB + 1) * TAB


def _tabs(cell: str, width: int) -> int:
    return -(-(width - len(cell)) // TAB)
