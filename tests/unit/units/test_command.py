"""Command lines of Exec…= directives."""

from __future__ import annotations

import pytest

from inaetics.errors import UnitFileError
from inaetics.units.command import Command, expand_variables, split_command, split_commands


@pytest.mark.parametrize(
    ("line", "command"),
    [
        pytest.param("/bin/true", Command(argv=("/bin/true",)), id="a program"),
        pytest.param("sleep 5", Command(argv=("sleep", "5")), id="a program to look for in PATH"),
        pytest.param(
            "-/bin/a b", Command(argv=("/bin/a", "b"), ignore_failure=True), id="minus: failure does not count"
        ),
        pytest.param("@/bin/a b c", Command(argv=("/bin/a", "c"), argv0="b"), id="at: the name it is told"),
        pytest.param(":/bin/a $b", Command(argv=("/bin/a", "$b"), substitute=False), id="colon: variables stay"),
        pytest.param(
            "-@:/bin/a b",
            Command(argv=("/bin/a",), argv0="b", ignore_failure=True, substitute=False),
            id="prefixes in any order",
        ),
        pytest.param("'/a b/c' d", Command(argv=("/a b/c", "d")), id="a path with a space, in quotes"),
        pytest.param("/bin/a -b @c", Command(argv=("/bin/a", "-b", "@c")), id="arguments have no prefixes"),
        pytest.param("/bin/sh -c 'a; b'", Command(argv=("/bin/sh", "-c", "a; b")), id="a semicolon in quotes"),
        pytest.param("/bin/a b;", Command(argv=("/bin/a", "b;")), id="a semicolon at the end of a word"),
        pytest.param('/bin/a ";" \\;', Command(argv=("/bin/a", ";", ";")), id="a semicolon as an argument"),
    ],
)
def test_reads(line: str, command: Command) -> None:
    assert split_command(line) == command


@pytest.mark.parametrize(
    ("line", "words"),
    [
        pytest.param("", "names no program", id="nothing"),
        pytest.param("-", "names no program", id="only a prefix"),
        pytest.param("- /bin/a", "names no program", id="a blank after the prefix"),
        pytest.param("bin/a", "neither an absolute path", id="a relative path"),
        pytest.param("./a", "neither an absolute path", id="a path of the working directory"),
        pytest.param("/bin/", "names no program", id="a directory"),
        pytest.param("${PROGRAM} a", "put /usr/bin/env before it", id="a variable"),
        pytest.param(r"/bin/a\x27", "contains a quote", id="a quote in the path"),
        pytest.param(r"/bin/a\d", "a backslash", id="a backslash in the path"),
        pytest.param("+/bin/a", "full privileges", id="plus"),
        pytest.param("!/bin/a", "privileges that are dropped", id="exclamation mark"),
        pytest.param("--/bin/a", "given twice", id="a prefix twice"),
        pytest.param("@/bin/a", "must follow it", id="at without a name"),
        pytest.param("/bin/a 'b", "not closed", id="an open quote"),
        pytest.param("/bin/a ; /bin/b", "holds 2 commands", id="two commands where one is expected"),
    ],
)
def test_refuses(line: str, words: str) -> None:
    with pytest.raises(UnitFileError, match=words):
        split_command(line)


def test_several_commands_on_a_line() -> None:
    programs = [command.argv for command in split_commands("/bin/a 1 ; -/bin/b 2 ;")]
    assert programs == [("/bin/a", "1"), ("/bin/b", "2")]
    with pytest.raises(UnitFileError, match="names no program"):
        split_commands("/bin/a ; ; /bin/b")


@pytest.mark.parametrize(
    ("word", "words"),
    [
        pytest.param("$ONE", ("two words",), id="quotes in a variable count when it is split"),
        pytest.param("$MANY", ("a", "b"), id="a word that is a variable becomes its words"),
        pytest.param("${MANY}", ("a  b",), id="in braces it stays one word"),
        pytest.param("x${A}y${A}", ("x1y1",), id="within a word"),
        pytest.param("$UNSET", (), id="unset alone is no word"),
        pytest.param("${UNSET}", ("",), id="unset in braces is an empty word"),
        pytest.param("$EMPTY", (), id="empty alone is no word"),
        pytest.param("x$A", ("x$A",), id="without braces only a whole word counts"),
        pytest.param("$A.b", ("$A.b",), id="without braces not even at the beginning"),
        pytest.param("$$A", ("$A",), id="two dollars are one"),
        pytest.param("$${A}", ("${A}",), id="two dollars before a brace"),
        pytest.param("${A:-b}", ("${A:-b}",), id="what shells do more is left to shells"),
        pytest.param("$1 $?", ("$1 $?",), id="parameters of shells"),
        pytest.param("${A", ("${A",), id="an open brace"),
        pytest.param("${NESTED}", ("${A}",), id="a value is not looked at again"),
    ],
)
def test_variables(word: str, words: tuple[str, ...]) -> None:
    env = {"A": "1", "ONE": "'two words'", "MANY": "a  b", "EMPTY": "", "NESTED": "${A}"}
    assert expand_variables(["x", word], env) == ("x", *words)
