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
_SPAN_PART = re.compile(r"\s*([0-9]{1,15}(?:\.[0-9]{1,15})?|\.[0-9]{1,15})(?![0-9.])\s*([A-Za-zµμ]*)")

_SIZE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?)\s*([KMGTPE]?)B?")
_SIZE_FACTORS = {"": 1, **{letter: 1024**power for power, letter in enumerate("KMGTPE", start=1)}}

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
    """Read the content of an `EnvironmentFile=`: one NAME=value a line, comments with # or ;.

    A value may be quoted, and then span lines: in double quotes a backslash escapes `"`, `\\`, `` ` `` and `$`, in
    single quotes nothing is special. In a value that is not quoted, quotes further on are plain characters, and a
    backslash makes the next character plain (a line end: disappear). What systemd skips with a warning raises
    `UnitFileError` with the line.
    """
    text = text.replace("\r\n", "\n")
    assignments: dict[str, str] = {}
    at = 0
    while at < len(text):
        if skipped := _BLANK_OR_COMMENT.match(text, at):
            at = skipped.end()
            continue
        number = text.count("\n", 0, at) + 1
        name = _ASSIGNED_NAME.match(text, at)
        if name is None:
            line = text[at:].partition("\n")[0].strip()
            raise UnitFileError(
                f"{source}, line {number}: {line[:60]!r} is no assignment (write NAME=value)", line=number
            )
        value, at = _assigned_value(text, name.end(), source, number)
        assignments[name[1]] = value
    return assignments


_BLANK_OR_COMMENT = re.compile(r"[ \t]*(?:[#;][^\n]*)?(?:\n|\Z)")
_ASSIGNED_NAME = re.compile(r"[ \t]*([A-Za-z_][A-Za-z0-9_]*)[ \t]*=")
_SINGLE_QUOTED = re.compile(r"[ \t]*'([^']*)'")
_DOUBLE_QUOTED = re.compile(r'[ \t]*"((?:[^"\\]|\\.)*)"', re.DOTALL)
_UNQUOTED = re.compile(r"[ \t]*((?:[^\\\n]|\\.|\\\Z)*)\n?", re.DOTALL)


def _assigned_value(text: str, at: int, source: str, number: int) -> tuple[str, int]:
    """Read quoted parts, then what is left of the line; return the value and the position after its line end."""
    parts: list[str] = []
    while True:
        if single := _SINGLE_QUOTED.match(text, at):
            parts.append(single[1])
            at = single.end()
        elif double := _DOUBLE_QUOTED.match(text, at):
            parts.append(re.sub(r'\\(?:(["\\`$])|\n)', lambda escape: escape[1] or "", double[1]))
            at = double.end()
        else:
            break
    rest = _UNQUOTED.match(text, at)
    if rest is None or rest[1].startswith(("'", '"')):
        raise UnitFileError(f"{source}, line {number}: a quote is not closed", line=number)
    parts.append(re.sub(r"\\(?:\n|(.)|\Z)", lambda escape: escape[1] or "", rest[1].rstrip(" \t")))
    return "".join(parts), rest.end()
