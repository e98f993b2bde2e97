"""Tables as the original's tabwriter made them (tab width 8, padding 1, padded with tabs)."""

from __future__ import annotations

import pytest

from inaetics.cli.tabs import tab_lines


@pytest.mark.parametrize(
    ("rows", "lines"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([["a"]], ["a"], id="one-cell-is-left-alone"),
        pytest.param([["UNIT", "SUB"], ["x", "dead"]], ["UNIT\tSUB", "x\tdead"], id="short-cells-take-one-tab"),
        pytest.param([["1234567", "b"], ["1", "b"]], ["1234567\tb", "1\tb"], id="seven-fit-one-tab"),
        pytest.param([["12345678", "b"], ["1", "b"]], ["12345678\tb", "1\t\tb"], id="eight-need-room-behind"),
        pytest.param([["hello.service", "b"], ["a", "b"]], ["hello.service\tb", "a\t\tb"], id="two-tabs"),
        pytest.param([["a", "", "c"]], ["a\t-\tc"], id="an-empty-cell-is-shown"),
    ],
)
def test_alignment(rows: list[list[str]], lines: list[str]) -> None:
    assert list(tab_lines(rows)) == lines


def test_every_column_begins_at_the_same_place_on_screen() -> None:
    lines = list(tab_lines([["UNIT", "MACHINE", "SUB"], ["a-long-name@1.service", "1c/127.17.8.101", "running"]]))
    columns = [
        [line.expandtabs(8).index(word) for word in words]
        for line, words in zip(lines, [["MACHINE", "SUB"], ["1c/", "running"]], strict=True)
    ]
    assert columns[0] == columns[1]


def test_cut_finds_the_first_column() -> None:
    assert [line.split("\t")[0] for line in tab_lines([["UNIT", "SUB"], ["x.service", "dead"]])] == [
        "UNIT",
        "x.service",
    ]
