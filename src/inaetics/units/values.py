"""Values of directives: booleans, time spans, sizes, environments. Errors carry no line: the caller knows it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from inaetics.errors import UnitFileError
from inaetics.units.quoting import split_words

_TRUE = frozenset({"1", "yes", "y", "true", "t", "on"})
_FALSE = frozenset({"0", "no", "n", "false", "f", "off"})

_SECONDS: Mapping[str, float] = {
    **dict.fromkeys(("us", "usec", "µs", "μs"), 1e-6),
    **dict.fromkeys(("ms", "msec"), 1e-3),
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
    **dict.fromkeys(("w", "week", "weeks"), 604800.0),
    **dict.fromkeys(("M", "month", "months"), 2629800.0),
    **dict.fromkeys(("y", "year", "years"), 31557600.0),
}
_SPAN_PART = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-zµμ]*)")

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGTPE]?)B?")
_SIZE_FACTORS = {"": 1, **{letter: 1024**power for power, letter in enumerate("KMGTPE", start=1)}}

_PERCENT = re.compile(r"([0-9]+(?:\.[0-9]{1,2})?)%")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def boolean(text: str) -> bool:
    """Read yes or no, in systemd's spellings."""
    word = text.lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise UnitFileError(f"{text!r} is neither yes nor no")


def time_span(text: str) -> float:
    """Read a time span such as `1min 30s`, `2h30min`, `500ms` or `1.5` (seconds). `infinity` is `math.inf`."""
    if text.strip() == "infinity":
        return math.inf
    total, at = 0.0, 0
    content = text.strip()
    while at < len(content):
        part = _SPAN_PART.match(content, at)
        if part is None or (part[2] and part[2] not in _SECONDS):
            raise UnitFileError(f"{text!r} is no time span (write 90, 1min 30s, 500ms or infinity)")
        total += float(part[1]) * (_SECONDS[part[2]] if part[2] else 1.0)
        at = part.end()
    if not content:
        raise UnitFileError("an empty text is no time span (write 90, 1min 30s, 500ms or infinity)")
    return total


def timeout(text: str) -> float:
    """Read a time-out: as `time_span`, and 0 means none, as it always did in systemd."""
    return time_span(text) or math.inf


def size(text: str) -> int | None:
    """Read a size in bytes, with a suffix K M G T P E of 1024 each. `infinity` is None."""
    if text == "infinity":
        return None
    match = _SIZE.fullmatch(text)
    if match is None:
        raise UnitFileError(f"{text!r} is no size in bytes (write 500M, 2G, a plain number or infinity)")
    return int(float(match[1]) * _SIZE_FACTORS[match[2]])


def count(text: str) -> int | None:
    """Read a number of things. `infinity` is None."""
    if text == "infinity":
        return None
    return whole_number(text)


def whole_number(text: str) -> int:
    """Read a number that is not negative."""
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise UnitFileError(f"{text[:40]!r} is no whole number")
    return int(text)


def percent(text: str) -> float:
    """Read a percentage as a fraction: `150%` is 1.5. It may be above 100 %."""
    match = _PERCENT.fullmatch(text)
    if match is None or float(match[1]) == 0:
        raise UnitFileError(f"{text!r} is no percentage above zero (write 50%, or 200% for two processors)")
    return float(match[1]) / 100


def octal(text: str) -> int:
    """Read file mode bits such as `0022`."""
    if not re.fullmatch(r"[0-7]{1,4}", text):
        raise UnitFileError(f"{text!r} is no octal mode (write 0022)")
    return int(text, 8)


def one_of(text: str, known: Mapping[str, str] | tuple[str, ...], what: str) -> str:
    """Read one of a few words."""
    if text not in known:
        raise UnitFileError(f"{text!r} is no {what} (known: {', '.join(known)})")
    return text


def environment_assignments(text: str) -> dict[str, str]:
    """Read assignments such as `A=1 "B=x y"`; the last one of a name counts. Variables have no meaning in them."""
    assignments: dict[str, str] = {}
    for word in split_words(text):
        name, equals, value = word.partition("=")
        if not equals or not _VARIABLE_NAME.fullmatch(name):
            hint = "write NAME=value; quote the whole of it when the value has blanks"
            raise UnitFileError(f"{word!r} is no assignment of an environment variable ({hint})")
        assignments[name] = value
    return assignments


def environment_file(text: str, *, source: str = "environment file") -> dict[str, str]:
    """Read the content of an `EnvironmentFile=`: one NAME=value a line, quotes optional, comments with # or ;.

    Within double quotes a backslash escapes `"`, `\\`, `` ` `` and `$`; within single quotes it is a plain character;
    a quoted value may contain line ends. Raises `UnitFileError` with the line for anything else.
    """
    assignments: dict[str, str] = {}
    number, at = 0, 0
    while at < len(text):
        end = _end_of_assignment(text, at)
        raw = text[at:end]
        number = text.count("\n", 0, at) + 1
        at = end + 1
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        name, equals, value = line.partition("=")
        name = name.strip()
        if not equals or not _VARIABLE_NAME.fullmatch(name):
            raise UnitFileError(
                f"{source}, line {number}: {line[:60]!r} is no assignment (write NAME=value)", line=number
            )
        assignments[name] = _unquoted(value.strip(), source, number)
    return assignments


_QUOTED_PART = re.compile(r"""'([^']*)'|"((?:\\.|[^"\\])*)"|((?:\\.|[^\\'"])+)|(\\$)""", re.DOTALL)


def _end_of_assignment(text: str, at: int) -> int:
    """The position of the line end that ends what starts at `at`: quotes and backslashes carry on past others."""
    open_quote = ""
    comment = text[at:].lstrip(" \t")[:1] in ("#", ";")
    while at < len(text):
        character = text[at]
        if character == "\n" and not open_quote:
            return at
        if not comment:
            if character == "\\" and open_quote != "'":
                at += 1
            elif character == open_quote:
                open_quote = ""
            elif not open_quote and character in "\"'":
                open_quote = character
        at += 1
    return len(text)


def _unquoted(value: str, source: str, number: int) -> str:
    parts: list[str] = []
    at = 0
    while at < len(value):
        part = _QUOTED_PART.match(value, at)
        if part is None:
            raise UnitFileError(f"{source}, line {number}: a quote is not closed", line=number)
        at = part.end()
        if part[1] is not None:
            parts.append(part[1])
        elif part[2] is not None:
            parts.append(re.sub(r'\\(["\\`$])', r"\1", part[2].replace("\\\n", "")))
        elif part[3] is not None:
            parts.append(re.sub(r"\\(.)", r"\1", part[3].replace("\\\n", "")))
    return "".join(parts)
