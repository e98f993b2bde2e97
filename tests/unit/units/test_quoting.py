"""Words of a value: systemd's quotes and escapes, and writing words so that they survive them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inaetics.errors import UnitFileError
from inaetics.units.command import expand_variables, split_command
from inaetics.units.grammar import Option, from_options, parse
from inaetics.units.names import parse_name
from inaetics.units.quoting import join, quote, quote_literal, split_words
from inaetics.units.specifiers import expand
from tests.unit.units import strategies


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("", (), id="nothing"),
        pytest.param(" a  b\tc ", ("a", "b", "c"), id="blanks"),
        pytest.param("'a b' \"c d\"", ("a b", "c d"), id="both kinds of quotes"),
        pytest.param("a'b c'd", ("ab cd",), id="quotes within a word"),
        pytest.param("'' \"\"", ("", ""), id="empty words"),
        pytest.param("'a\"b' \"c'd\"", ('a"b', "c'd"), id="one kind within the other"),
        pytest.param(r"a\ b", ("a\\ b",), id="a backslash before a blank stays, and holds the word together"),
        pytest.param(r"a\sb", ("a b",), id="a blank is written \\s"),
        pytest.param(r"\n\t\\\"\'", ("\n\t\\\"'",), id="escapes of C"),
        pytest.param(r"'\n' " + r'"\n"', ("\n", "\n"), id="escapes count in both kinds of quotes"),
        pytest.param(r"\x41\101\u0042\U00000043", ("AABC",), id="numbers"),
        pytest.param(r"\d\.\w", (r"\d\.\w",), id="unknown escapes stay"),
        pytest.param("a\\", ("a\\",), id="a backslash at the end"),
        pytest.param(r"a \; b", ("a", ";", "b"), id="a semicolon that separates nothing"),
        pytest.param("ü\u00a0ü", ("ü\u00a0ü",), id="other blanks of Unicode are text"),
    ],
)
def test_splits(text: str, words: tuple[str, ...]) -> None:
    assert split_words(text) == words


@pytest.mark.parametrize("text", ["'a", 'a "b', "it's", r'"a\"', r"\x00", r"\000", r"\ud800", r"\U00110000"])
def test_refuses(text: str) -> None:
    with pytest.raises(UnitFileError):
        split_words(text)


@pytest.mark.parametrize("word", ["--root=/a", "a.b:c", "%i", "${X}", "$X", "ü"])
def test_plain_words_are_written_as_they_are(word: str) -> None:
    assert quote(word) == word


def test_control_characters_are_written_visibly() -> None:
    assert quote("\n\t\x1b\x7f") == r'"\n\t\x1b\x7f"'


@given(st.lists(strategies.words, max_size=6))
def test_words_survive(words: list[str]) -> None:
    assert split_words(join(words)) == tuple(words)


@given(st.lists(strategies.words, max_size=6))
def test_arguments_survive_a_whole_unit_file(arguments: list[str]) -> None:
    """The way of a generated command: printed, read, split, specifiers and variables replaced."""
    line = join(["/bin/x", *arguments], quote_literal)
    unit = parse(str(from_options([Option("Service", "ExecStart", line), Option("Service", "Type", "exec")])))
    read = split_command(unit.get("Service", "ExecStart") or "").argv
    expanded = [expand(word, name=parse_name("a@1.service")) for word in read]
    assert expand_variables(expanded, {"a": "wrong"}) == ("/bin/x", *arguments)
