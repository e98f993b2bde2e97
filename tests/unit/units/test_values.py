"""Values of directives. The time spans were compared with systemd-analyze(1) of systemd 252."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inaetics.errors import UnitFileError
from inaetics.units import values


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("0", 0),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1min 30s", 90),
        ("2h30min", 9000),
        ("500ms", 0.5),
        ("5 s", 5),
        ("3m5ms", 180.005),
        ("5µs", 5e-6),
        ("1.5h", 5400),
        ("1y 2M", 36817200),
        ("30 min 5", 1805),
        ("1 2", 3),
        (" 7 ", 7),
        ("infinity", math.inf),
    ],
)
def test_time_spans(text: str, seconds: float) -> None:
    assert values.time_span(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", " ", "-1", "5.", "1e3", "s", "5 parsecs", "1h-", "infinity 1", "9" * 400])
def test_no_time_spans(text: str) -> None:
    with pytest.raises(UnitFileError, match="no time span"):
        values.time_span(text)


def test_a_timeout_of_zero_is_none() -> None:
    assert values.timeout("0") == math.inf
    assert values.timeout("5") == 5


@pytest.mark.parametrize(
    ("text", "read"),
    [(word, True) for word in ("yes", "true", "on", "1", "Yes")]
    + [(word, False) for word in ("no", "false", "off", "0")],
)
def test_booleans(text: str, read: bool) -> None:
    assert values.boolean(text) is read


@pytest.mark.parametrize(
    ("text", "size"), [("500M", 500 * 1024**2), ("1.5K", 1536), ("2G", 2 * 1024**3), ("7", 7), ("infinity", None)]
)
def test_sizes(text: str, size: int | None) -> None:
    assert values.size(text) == size


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (values.boolean, "maybe"),
        (values.size, "50%"),
        (values.size, "-1"),
        (values.size, "1 MiB"),
        (values.size, "9" * 400),
        (values.count, "-1"),
        (values.count, "1.5"),
        (values.whole_number, "²"),
        (values.whole_number, ""),
        (values.octal, "0888"),
        (values.octal, "u=rwx"),
    ],
)
def test_refused_values(read: object, text: str) -> None:
    assert callable(read)
    with pytest.raises(UnitFileError):
        read(text)


def test_other_values() -> None:
    assert values.octal("0027") == 0o27
    assert values.count("infinity") is None
    assert values.count("64") == 64


@pytest.mark.parametrize(
    ("text", "assignments"),
    [
        ('A=1 "B=x y"', {"A": "1", "B": "x y"}),
        ("A=$HOME", {"A": "$HOME"}),
        ("A=", {"A": ""}),
        ("A=b=c", {"A": "b=c"}),
        ("A=1 A=2", {"A": "2"}),
        ('A="x y"', {"A": "x y"}),
        ("", {}),
    ],
)
def test_assignments(text: str, assignments: dict[str, str]) -> None:
    assert values.environment_assignments(text) == assignments


@pytest.mark.parametrize("text", ["A", "=1", "1A=1", "A B=1", "A-B=1", 'A="', "ä=1"])
def test_no_assignments(text: str) -> None:
    with pytest.raises(UnitFileError):
        values.environment_assignments(text)


ENVIRONMENT_FILES = [
    pytest.param("A=1\nB=2\n", {"A": "1", "B": "2"}, id="lines"),
    pytest.param("A=1", {"A": "1"}, id="no line end at the end"),
    pytest.param("\n# A=0\n  ; B=0\n A = 1 \n", {"A": "1"}, id="comments and blanks"),
    pytest.param("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}, id="line ends of Windows"),
    pytest.param("A=\nB=2\n", {"A": "", "B": "2"}, id="an empty value"),
    pytest.param("A=x y  z\n", {"A": "x y  z"}, id="blanks within a value"),
    pytest.param('A="x \\"y\\" \\n \\$"\n', {"A": 'x "y" \\n $'}, id="double quotes"),
    pytest.param("A='x \\ $y'\n", {"A": "x \\ $y"}, id="single quotes"),
    pytest.param("A='x'\"y\"z\n", {"A": "xyz"}, id="quoted parts join"),
    pytest.param('A={"a":1}\n', {"A": '{"a":1}'}, id="quotes further on are text"),
    pytest.param("A=it's\n", {"A": "it's"}, id="an apostrophe is text"),
    pytest.param("A='x\ny'\nB=2\n", {"A": "x\ny", "B": "2"}, id="a quoted value over lines"),
    pytest.param("A=x\\\ny\nB=2\n", {"A": "xy", "B": "2"}, id="a backslash goes on"),
    pytest.param('A="x\\\ny"\n', {"A": "xy"}, id="a backslash goes on in double quotes"),
    pytest.param("A=a\\b\n", {"A": "ab"}, id="a backslash makes plain"),
    pytest.param("# c \\\nA=1\n", {"A": "1"}, id="a comment does not go on"),
    pytest.param("A=x # y\n", {"A": "x # y"}, id="a comment takes a whole line"),
    pytest.param("A=1\nA=2\n", {"A": "2"}, id="the last one counts"),
    pytest.param("A=x\\", {"A": "x"}, id="a backslash at the end of the file"),
]


@pytest.mark.parametrize(("text", "assignments"), ENVIRONMENT_FILES)
def test_environment_files(text: str, assignments: dict[str, str]) -> None:
    assert values.environment_file(text) == assignments


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param("A=1\nnonsense\n", 2, id="no assignment"),
        pytest.param("A='x\ny'\n1B=2\n", 3, id="lines are counted past quoted values"),
        pytest.param("\nA='x\n", 2, id="an open quote"),
        pytest.param('A=1\nB="x\\"', 2, id="an open quote with an escaped one"),
        pytest.param("export A=1\n", 1, id="a shell's export"),
    ],
)
def test_refused_environment_files(text: str, line: int) -> None:
    with pytest.raises(UnitFileError, match=f"^host.env, line {line}: ") as caught:
        values.environment_file(text, source="host.env")
    assert caught.value.line == line


@given(st.dictionaries(st.from_regex(r"\A[A-Z_][A-Z0-9_]{0,5}\Z"), st.text(st.characters(exclude_characters="\0\r"))))
def test_environment_files_hold_any_value(assignments: dict[str, str]) -> None:
    escapes = str.maketrans({character: "\\" + character for character in '"\\`$'})
    text = "".join(f'{name}="{value.translate(escapes)}"\n' for name, value in assignments.items())
    assert values.environment_file(text) == assignments
