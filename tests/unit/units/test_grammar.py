"""The grammar of unit files: nothing is lost, and what is wrong is named with its line."""

from __future__ import annotations

import pytest
from hypothesis import assume, event, given
from hypothesis import strategies as st

from inaetics.errors import UnitFileError
from inaetics.units.grammar import MAX_LINE_CHARS, MAX_TEXT_BYTES, Option, UnitFile, from_options, parse
from tests.unit.units import strategies

READ = [
    pytest.param("[S]\nA=1\n", [("S", "A", "1")], id="an assignment"),
    pytest.param("[S]\nA=1", [("S", "A", "1")], id="no line end at the end"),
    pytest.param("", [], id="an empty file"),
    pytest.param("[S]\r\nA=1\r\n", [("S", "A", "1")], id="line ends of Windows"),
    pytest.param("\ufeff[S]\nA=1\n", [("S", "A", "1")], id="a byte order mark"),
    pytest.param("\ufeff# c\n[S]\nA=1\n", [("S", "A", "1")], id="a byte order mark before a comment"),
    pytest.param("[S]\n  A  =  1  2 \t\n", [("S", "A", "1  2")], id="blanks around name and value do not count"),
    pytest.param("[S]\n# A=0\n;B=0\n  # C=0\nA=1\n", [("S", "A", "1")], id="comments"),
    pytest.param("[S]\nA=1 # no comment\n", [("S", "A", "1 # no comment")], id="a comment takes a whole line"),
    pytest.param("[S]\nA=\n", [("S", "A", "")], id="an empty value"),
    pytest.param("[S]\nA=b=c\n", [("S", "A", "b=c")], id="the first equals sign counts"),
    pytest.param("[S]\nA=1 \\\n   2\n", [("S", "A", "1     2")], id="a backslash goes on, and becomes a space"),
    pytest.param("[S]\nA=1\\\r\n2\r\n", [("S", "A", "1 2")], id="a backslash goes on before CR LF"),
    pytest.param("[S]\nA=1\\\n# c\n2\n", [("S", "A", "1 2")], id="comments within continued lines are skipped"),
    pytest.param("[S]\nA=1\\\n; c \\\n2\n", [("S", "A", "1 2")], id="a comment never goes on itself"),
    pytest.param("[S]\nA=1\\\n[T]\n", [("S", "A", "1 [T]")], id="a continued line is no header"),
    pytest.param("[S]\nA=1\\\n\nB=2\n", [("S", "A", "1"), ("S", "B", "2")], id="a blank line ends what goes on"),
    pytest.param(
        "[S]\nA=1\\\\\nB=2\n", [("S", "A", "1\\\\"), ("S", "B", "2")], id="an escaped backslash ends the line"
    ),
    pytest.param("[S]\nA=1\\ \nB=2\n", [("S", "A", "1\\"), ("S", "B", "2")], id="a blank after the backslash: no more"),
    pytest.param("[S]\nA=1\\", [("S", "A", "1")], id="a backslash at the end of the file"),
    pytest.param(
        "[S]\nA=1\n[T]\nB=2\n[S]\nA=3\n", [("S", "A", "1"), ("T", "B", "2"), ("S", "A", "3")], id="sections again"
    ),
    pytest.param("[S]\nA=\x0b\f\u2028\n", [("S", "A", "\x0b\f\u2028")], id="other line ends of Unicode are text"),
    pytest.param("[My Section]\nA=1\n", [("My Section", "A", "1")], id="a section's name may hold spaces"),
]

REFUSED = [
    pytest.param("[S]\n\nnonsense\n", 3, "'nonsense' is no assignment", id="no assignment"),
    pytest.param("A=1\n", 1, "before any section", id="an option before any section"),
    pytest.param("# c\n\nA=1\n[S]\n", 3, "before any section", id="an option before the first section"),
    pytest.param("[S]\n=1\n", 2, "no option's name", id="no name"),
    pytest.param("[S]\nA B=1\n", 2, "no option's name", id="a name with a space"),
    pytest.param("[S\nA=1\n", 1, "no section header", id="a header that is not closed"),
    pytest.param("[]\n", 1, "no section header", id="a section without a name"),
    pytest.param("[S] # c\n", 1, "no section header", id="a comment after a header"),
    pytest.param("[S]\nA=1\nB=\0\n", 3, "NUL", id="a NUL character"),
    pytest.param("[S]\nA=1\rB=2\n", 2, "carriage return", id="a carriage return within a line"),
    pytest.param("[S]\nA=\ud800\n", 2, "UTF-8", id="half a character"),
    pytest.param("[S]\nA=1\\\n2\n\nx\n", 5, "'x' is no assignment", id="lines are counted past continuations"),
    pytest.param(f"[S]\nA={'x' * MAX_LINE_CHARS}\n", 2, "too long", id="a line without end"),
    pytest.param("[S]\nA=\\\n" + "x\\\n" * MAX_LINE_CHARS, 21847, "too long", id="continuation without end"),
    pytest.param("[S]\n" + "A=1\n" * (MAX_TEXT_BYTES // 4), 65537, "too many", id="a file without end"),
]


@pytest.mark.parametrize(("text", "options"), READ)
def test_reads(text: str, options: list[tuple[str, str, str]]) -> None:
    unit = parse(text)
    assert [(option.section, option.name, option.value) for option in unit.options] == options
    assert str(unit) == text


@pytest.mark.parametrize(("text", "line", "words"), REFUSED)
def test_refuses_naming_the_line(text: str, line: int, words: str) -> None:
    with pytest.raises(UnitFileError, match=words) as caught:
        parse(text, source="felix@.service")
    assert caught.value.line == line
    assert str(caught.value).startswith(f"felix@.service, line {line}: ")


def test_an_option_knows_the_line_it_begins_on() -> None:
    unit = parse("# c\n[S]\n\nA=1\\\n2\nB=3\n")
    assert [option.line for option in unit.options] == [4, 6]


def test_get_is_the_last_value_and_none_after_a_reset() -> None:
    unit = parse("[S]\nA=1\nA=2\nB=1\nB=\n")
    assert unit.get("S", "A") == "2"
    assert unit.get("S", "B") is None
    assert unit.get("S", "C") is None
    assert unit.get("T", "A") is None


def test_get_all_begins_again_after_an_empty_assignment() -> None:
    unit = parse("[S]\nA=1\nB=x\nA=\nA=2\n[T]\nA=9\n[S]\nA=3\n")
    assert unit.get_all("S", "A") == ("2", "3")
    assert unit.get_all("S", "B") == ("x",)


def test_sections_are_named_once_in_order() -> None:
    assert parse("[B]\n[A]\nX=1\n[B]\n").section_names == ("B", "A")


def test_generated_options_keep_the_line_a_person_wrote() -> None:
    unit = from_options([Option("S", "A", "1", 42), Option("S", "B", "2")])
    assert [option.line for option in unit.options] == [42, 3]
    assert [option.line for option in parse(str(unit)).options] == [2, 3]


SMUGGLED = [
    pytest.param(Option("S", "A", "1\nB=2"), id="a line end in a value"),
    pytest.param(Option("S", "A", "1\n[T]\nB=2"), id="a section in a value"),
    pytest.param(Option("S", "A", "1\r2"), id="a carriage return in a value"),
    pytest.param(Option("S", "A", "1\\\n2\nB=3"), id="a line end after a continued one"),
    pytest.param(Option("S", "A", "\0"), id="a NUL character"),
    pytest.param(Option("S", "A=B", "1"), id="an equals sign in a name"),
    pytest.param(Option("S", "A\nB", "1"), id="a line end in a name"),
    pytest.param(Option("S", "#A", "1"), id="a name that makes it a comment"),
    pytest.param(Option("S", "", "1"), id="no name"),
    pytest.param(Option("S]\n[T", "A", "1"), id="a header in a section's name"),
    pytest.param(Option("", "A", "1"), id="no section"),
]


@pytest.mark.parametrize("option", SMUGGLED)
def test_refuses_to_print_what_would_be_read_otherwise(option: Option) -> None:
    with pytest.raises(UnitFileError):
        from_options([Option("S", "Before", "1"), option, Option("S", "B", "2")])


def test_a_value_of_continued_lines_is_printed_as_it_is() -> None:
    """The original's clients send values with their continuation lines."""
    unit = from_options([Option("S", "A", "1 \\\n  2"), Option("S", "B", "3")])
    assert [option.value for option in parse(str(unit)).options] == ["1    2", "3"]
    assert unit.options == parse(str(unit)).options


@pytest.mark.parametrize("value", ["1\\", "1 \\\n2\\", "\\\\\\"])
def test_a_backslash_at_the_end_does_not_swallow_the_next_option(value: str) -> None:
    unit = from_options([Option("S", "A", value), Option("S", "B", "3")])
    assert [option.name for option in parse(str(unit)).options] == ["A", "B"]
    assert unit.options == parse(str(unit)).options


def read(text: str) -> UnitFile | None:
    """Parse; None when it is refused, with a line that exists."""
    try:
        return parse(text)
    except UnitFileError as error:
        lines = text.count("\n") + 1
        assert error.line in range(1, lines + 1)  # noqa: PT017 - the error is not what is tested
        return None


@given(strategies.unit_texts)
def test_printing_gives_back_what_was_read(text: str) -> None:
    unit = read(text)
    if unit is None:
        event("refused")
        return
    event(f"read, {len(unit.options)} options")
    assert str(unit) == text
    assert parse(str(unit)) == unit


@given(st.text(max_size=60))
def test_any_text_is_read_whole_or_refused(text: str) -> None:
    unit = read(text)
    assert unit is None or str(unit) == text


@given(st.lists(strategies.options, max_size=8))
def test_options_come_back_from_their_text(options: list[Option]) -> None:
    printed = from_options(options)
    assert printed.options == tuple(options)
    assert parse(str(printed)).options == tuple(options)
    assert parse(str(printed)) == printed


@given(strategies.unit_texts)
def test_the_options_of_any_unit_can_be_printed(text: str) -> None:
    unit = read(text)
    assume(unit is not None)
    assert unit is not None
    assert from_options(unit.options).options == unit.options
