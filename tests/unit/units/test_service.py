"""The table of directives, and naming those that are not in it."""

from __future__ import annotations

from collections import Counter

import pytest

from inaetics.errors import UnitFileError
from inaetics.units.directives import DIRECTIVES, SECTIONS, Standing
from inaetics.units.grammar import Option, from_options, parse
from inaetics.units.service import check


def test_a_directive_stands_once_in_the_table_and_has_a_note() -> None:
    names = Counter((each.section, each.name) for each in DIRECTIVES)
    assert [name for name, count in names.items() if count > 1] == []
    assert all(each.note for each in DIRECTIVES)


@pytest.mark.parametrize("standing", list(Standing))
def test_only_refused_ones_are_refused(standing: Standing) -> None:
    for each in DIRECTIVES:
        if each.standing is not standing:
            continue
        unit = from_options([Option(each.section, each.name, "1")])
        if standing is Standing.REFUSED:
            with pytest.raises(UnitFileError, match=rf"\[{each.section}\] {each.name}= is refused: ") as caught:
                check(unit)
            assert each.note in str(caught.value)
        else:
            check(unit)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        pytest.param("[Service]\nExecStrt=/a\n", 2, "unknown directive .*ExecStart=", id="the nearest is named"),
        pytest.param("[Service]\nFrobnicate=1\n", 2, r"unknown directive \[Service\] Frobnicate=$", id="nothing near"),
        pytest.param("[Unit]\nExecStart=/a\n", 2, r"it belongs in \[Service\]", id="the wrong section"),
        pytest.param("[Service]\nAfter=a.service\n", 2, r"it belongs in \[Unit\]", id="the other wrong section"),
        pytest.param("[Unit]\nX-Conflicts=a\n", 2, r"it belongs in \[X-Fleet\]", id="the fleet's in the wrong section"),
        pytest.param("[Unit]\nA=\n", 2, "unknown directive", id="even when it is empty"),
        pytest.param("# c\n\n[Servce]\nX=1\n", 3, r"unknown section \[Servce\]", id="an unknown section"),
        pytest.param("[Unit]\n\\\n\n[Timer]\n", 4, r"unknown section \[Timer\]", id="an empty unknown section"),
        pytest.param("[Unit]\n[service]\n", 2, r"unknown section \[service\]", id="case matters"),
    ],
)
def test_unknown_ones_are_named(text: str, line: int, words: str) -> None:
    with pytest.raises(UnitFileError, match=words) as caught:
        check(parse(text, source="a.service"))
    assert caught.value.line == line
    assert str(caught.value).startswith(f"a.service, line {line}: ")


def test_names_with_an_x_are_for_others() -> None:
    check(parse("[Unit]\nX-Mine=1\n[X-Other]\nAnything=1\n[X-Fleet]\nNobodyKnows=1\n"))


def test_sections_with_a_reader_of_their_own() -> None:
    check(parse("[Container]\nImage=a\n"), also=("Container",))
    assert SECTIONS == ("Unit", "Service", "Install")
