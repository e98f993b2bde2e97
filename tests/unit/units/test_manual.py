"""The examples and rules of systemd's manual pages, as properties: what is written comes back as it was meant."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inaetics.errors import UnitFileError
from inaetics.units.command import expand_variables, split_commands
from inaetics.units.grammar import parse
from inaetics.units.names import Name
from inaetics.units.quoting import quote, split_words
from inaetics.units.specifiers import MEANINGS, expand
from tests.unit.units import strategies

ESCAPES = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"', "'": "'",
    "s": " ",
}  # fmt: skip

_name = Name("pre-fix", "inst-1", ".service")
_variables = st.dictionaries(st.sampled_from(["A", "B_1", "_c"]), st.text("ab \t\"'\\$%{}", max_size=8), max_size=3)


@given(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), st.sampled_from(["'", '"', ""]))
def test_every_way_to_write_a_character_is_that_character(character: str, mark: str) -> None:
    ways = [f"\\U{ord(character):08x}"]
    if ord(character) < 0x10000:
        ways.append(f"\\u{ord(character):04X}")
    if ord(character) < 0x80:
        ways += [f"\\x{ord(character):02x}", f"\\{ord(character):03o}"]
    ways += [f"\\{letter}" for letter, meant in ESCAPES.items() if meant == character]
    for way in ways:
        assert split_words(f"{mark}a{way}b{mark}") == (f"a{character}b",), way


@given(st.characters(min_codepoint=33, max_codepoint=126))
def test_only_the_escapes_of_the_table_mean_something(letter: str) -> None:
    if letter in ESCAPES or letter in "xuU01234567;":
        return
    assert split_words(f"a\\{letter}b") == (f"a\\{letter}b",)


@given(st.lists(st.sampled_from(["a", "b c", "#", ";x", "'q r'"]), min_size=1, max_size=5), st.data())
def test_a_value_may_be_continued_at_any_blank_with_comments_between(words: list[str], data: st.DataObject) -> None:
    whole = " ".join(words)
    lines = [f"A={words[0]}"]
    for word in words[1:]:
        if word.startswith(("#", ";")):
            lines[-1] += f" {word}"  # at the beginning of a line it would be a comment
        else:
            lines[-1] += "\\"
            lines += [*data.draw(st.lists(st.sampled_from(["# c", ";c", "  # c \\", "#"]), max_size=2)), word]
    text = "\n".join(["[S]", *lines, "B=1"])
    assert [(option.name, option.value) for option in parse(text).options] == [("A", whole), ("B", "1")]


@given(_variables, st.sampled_from(["A", "B_1", "_c", "UNSET"]))
def test_a_variable_in_braces_is_one_argument_and_a_word_that_is_one_becomes_its_words(
    variables: dict[str, str], name: str
) -> None:
    value = variables.get(name, "")
    assert expand_variables([f"${{{name}}}"], variables) == (value,)
    assert expand_variables([f"x${{{name}}}y${{{name}}}"], variables) == (f"x{value}y{value}",)
    try:
        words = split_words(value)
    except UnitFileError:
        with pytest.raises(UnitFileError):
            expand_variables([f"${name}"], variables)
    else:
        assert expand_variables(["a", f"${name}", "b"], variables) == ("a", *words, "b")


@given(strategies.words)
def test_doubled_dollars_and_percents_are_plain_ones(word: str) -> None:
    written = word.replace("%", "%%").replace("$", "$$")
    assert expand_variables([expand(written, name=_name)], {"a": "wrong", "A": "wrong"}) == (word,)


@given(st.lists(st.sampled_from([*MEANINGS, "x", "-", "%%"]), max_size=6))
def test_specifiers_are_replaced_one_by_one(pieces: list[str]) -> None:
    known = {specifier: expand(specifier, name=_name) for specifier in MEANINGS}
    expected = "".join(known.get(piece, piece) for piece in pieces)
    assert expand("".join(pieces), name=_name) == expected


@given(st.text("-@:+!", max_size=5), st.sampled_from(["/bin/x", "x"]))
def test_prefixes(prefixes: str, program: str) -> None:
    line = f"{prefixes}{program} name"
    if set(prefixes) & set("+!") or len(set(prefixes)) < len(prefixes):
        with pytest.raises(UnitFileError, match="prefix"):
            split_commands(line)
        return
    (command,) = split_commands(line)
    assert (command.ignore_failure, command.substitute) == ("-" in prefixes, ":" not in prefixes)
    assert (command.argv, command.argv0) == (((program,), "name") if "@" in prefixes else ((program, "name"), None))


@given(st.lists(st.lists(strategies.words, max_size=3), min_size=1, max_size=4))
def test_commands_are_separated_by_lone_semicolons_only(commands: list[list[str]]) -> None:
    line = " ; ".join(
        " ".join(["/bin/x", *(quote(word) if word != ";" else r"\;" for word in words)]) for words in commands
    )
    assert [command.argv[1:] for command in split_commands(line)] == [tuple(words) for words in commands]


def test_the_manuals_examples() -> None:
    variables = {"ONE": "one", "TWO": "two two", "Q": "'two two' too", "THREE": ""}
    (echo,) = split_commands("echo $ONE $TWO ${TWO}")
    assert expand_variables(echo.argv[1:], variables) == ("one", "two", "two", "two two")
    (echo,) = split_commands("/bin/echo ${ONE} ${Q} ${THREE}")
    assert expand_variables(echo.argv[1:], variables) == ("one", "'two two' too", "")
    (echo,) = split_commands("/bin/echo $ONE $Q $THREE")
    assert expand_variables(echo.argv[1:], variables) == ("one", "two two", "too")
    assert [each.argv for each in split_commands('echo one ; echo "two two"')] == [("echo", "one"), ("echo", "two two")]
    unit = parse("[S]\nExecStart=echo / >/dev/null & \\; \\\nls\n")
    (echo,) = split_commands(unit.get("S", "ExecStart") or "")
    assert echo.argv == ("echo", "/", ">/dev/null", "&", ";", "ls")
    two, three = "KeyTwo=value 2 \\\n  value 2 continued\n", "KeyThree=value 3\\\n# c\n; c\n  value 3 continued\n"
    syntax = f"[C]\n{two}{three}"
    assert [re.sub(" +", " ", option.value) for option in parse(syntax).options] == [
        "value 2 value 2 continued",
        "value 3 value 3 continued",
    ]
