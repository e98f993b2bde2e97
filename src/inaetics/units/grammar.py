"""Unit files as values: a parser that loses nothing, and a printer.

Promises: every character of the text belongs to exactly one entry, so `str(parse(text)) == text`; the meaning
(`options`) is systemd's (systemd.syntax(7)): a line ending in a backslash continues on the next, comments are skipped
within continued lines too, a section may appear several times. What systemd only warns about is an error here,
with its line: nothing a person wrote is dropped silently.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from inaetics.errors import UnitFileError
from inaetics.override import override

MAX_TEXT_BYTES = 256 * 1024
"""Larger files are refused: etcd takes 1.5 MB a request, and a unit file of this size is a mistake."""

MAX_LINE_CHARS = 64 * 1024
"""Longer assignments (with their continuation lines) are refused; Linux takes 128 KiB for one argument."""

WHITESPACE = " \t\r\n"
COMMENT_MARKS = ("#", ";")
BYTE_ORDER_MARK = "\ufeff"

_SECTION_NAME = re.compile(r"[^\[\]\x00-\x1f\x7f]+")
_OPTION_NAME = re.compile(r"[^\s\[#;=\x00-\x1f\x7f][^\s=\x00-\x1f\x7f]*")


@dataclass(frozen=True, slots=True)
class Option:
    """One assignment. `line` is where a person wrote it (0: nowhere) and takes no part in comparisons."""

    section: str
    name: str
    value: str
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Entry:
    """A piece of the text as written, line end included: blank or comment lines, a section's header or an option."""

    raw: str
    section: str | None = None
    option: Option | None = None


@dataclass(frozen=True, slots=True)
class UnitFile:
    """A unit file; `str()` gives back the text it was read from. `source` names it in errors."""

    entries: tuple[Entry, ...]
    source: str = field(default="unit file", compare=False)
    options: tuple[Option, ...] = field(init=False, compare=False, repr=False)
    """Every assignment in the order written, continuation lines joined by a space."""
    _present: frozenset[tuple[str, str]] = field(init=False, compare=False, repr=False)
    """Most options that are asked for are not there: that is seen without looking at those that are."""

    def __post_init__(self) -> None:
        options = tuple(entry.option for entry in self.entries if entry.option is not None)
        object.__setattr__(self, "options", options)
        object.__setattr__(self, "_present", frozenset((option.section, option.name) for option in options))

    @override
    def __str__(self) -> str:
        return "".join(entry.raw for entry in self.entries)

    @property
    def section_names(self) -> tuple[str, ...]:
        """Every section once, in the order of first appearance."""
        return tuple(dict.fromkeys(entry.section for entry in self.entries if entry.section is not None))

    def of(self, section: str, *names: str) -> tuple[Option, ...]:
        """The assignments in effect of options `names` (all when none is given) of a section.

        An empty assignment resets those of its name before it, and is not itself part of the answer.
        """
        if names and self._present.isdisjoint((section, name) for name in names):
            return ()
        asked = [each for each in self.options if each.section == section and (not names or each.name in names)]
        reset_at = {option.name: at for at, option in enumerate(asked) if not option.value}
        return tuple(option for at, option in enumerate(asked) if at > reset_at.get(option.name, -1))

    def get(self, section: str, key: str) -> str | None:
        """The last value, or None when there is none or an empty assignment reset it."""
        values = self.get_all(section, key)
        return values[-1] if values else None

    def get_all(self, section: str, key: str) -> tuple[str, ...]:
        """All values in the order written; an empty assignment resets the list."""
        return tuple(option.value for option in self.of(section, key))

    def error(self, message: str, line: int | None) -> UnitFileError:
        """An error about this file, naming the place."""
        return located(self.source, line or None, message)


def located(source: str, line: int | None, message: str) -> UnitFileError:
    """An error naming `source` and, where known, the line."""
    place = source if line is None else f"{source}, line {line}"
    return UnitFileError(f"{place}: {message}", line=line)


def parse(text: str, *, source: str = "unit file") -> UnitFile:
    """Read a unit file. Raises `UnitFileError` with the line of the first thing that is wrong."""
    _refuse_what_is_no_text(text, source)
    entries: list[Entry] = []
    section: str | None = None
    for first_line, raw, content in _logical_lines(text, source):
        entry = _entry(raw, content, section, first_line, source)
        section = entry.section if entry.section is not None else section
        entries.append(entry)
    return UnitFile(tuple(entries), source)


def from_options(options: Iterable[Option], *, source: str = "unit file") -> UnitFile:
    """Print options as a unit file; they come back from its text equal and in the same order.

    An option with a `line` keeps it, so that errors about a generated file point at what a person wrote.
    Raises `UnitFileError` for an option that no unit file can hold (a value with a line end that no backslash
    continues, a name with a space): this is also what keeps a value from smuggling in another option.
    """
    entries: list[Entry] = []
    section: str | None = None
    line = 1
    for option in options:
        if option.section != section:
            header = Entry(f"[{option.section}]\n", section=option.section)
            gap = [Entry("\n")] if entries else []
            entries += [*gap, header]
            section, line = option.section, line + len(gap) + 1
        entry = _printed(option, line, source)
        entries.append(entry)
        line += entry.raw.count("\n")
    return UnitFile(tuple(entries), source)


def _printed(option: Option, line: int, source: str) -> Entry:
    value = option.value.strip(WHITESPACE)
    # A blank after a backslash at the end keeps it from continuing on the next line; readers drop the blank.
    assignment = f"{option.name}={value}{' ' if _continues(value) else ''}\n"
    header = f"[{option.section}]\n"
    read = parse(header + assignment + "[End]\n", source=source).options
    one = read[0] if len(read) == 1 else Option("", "", "")
    if (one.section, one.name) != (option.section, option.name) or not _same_value(one.value, option.value):
        what = f"[{option.section}] {option.name}={option.value}"
        message = f"{what[:200]!r} cannot be written as one option (a line end needs a backslash before it)"
        raise located(source, option.line or None, message)
    return Entry(assignment, option=Option(one.section, one.name, one.value, option.line or line))


def _same_value(read: str, given: str) -> bool:
    """Whether `given` was read back: values of several lines (the original's clients send them) come back joined."""
    return "\n" in given or read == given.strip(WHITESPACE)


def _refuse_what_is_no_text(text: str, source: str) -> None:
    for character, what in (("\0", "a NUL character"), ("\r", "a carriage return that ends no line")):
        at = _position_of(text, character)
        if at >= 0:
            raise located(source, text.count("\n", 0, at) + 1, f"{what} cannot be part of a unit file")
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        raise located(source, line, "not valid UTF-8 text") from error
    if size > MAX_TEXT_BYTES:
        line = text.encode()[:MAX_TEXT_BYTES].count(b"\n") + 1
        raise located(source, line, f"{size} bytes are too many for a unit file (at most {MAX_TEXT_BYTES})")


def _position_of(text: str, character: str) -> int:
    if character != "\r":
        return text.find(character)
    found = re.search(r"\r(?!\n)", text) if "\r" in text else None
    return found.start() if found else -1


def _logical_lines(text: str, source: str) -> Iterator[tuple[int, str, str]]:
    """Yield (number of the first line, text as written, content with continuation lines joined)."""
    parts: list[str] = []
    raw, first = "", 0
    for number, line in enumerate(_physical_lines(text), start=1):
        content = line.rstrip("\r\n")
        raw += line
        first = first or number
        if len(raw) > MAX_LINE_CHARS:
            raise located(source, number, f"line is too long (at most {MAX_LINE_CHARS} characters)")
        if content.lstrip(" \t").startswith(COMMENT_MARKS):
            if parts:
                continue
            yield first, raw, ""
        elif _continues(content):
            parts.append(content[:-1])
            continue
        else:
            yield first, raw, " ".join([*parts, content]).strip(WHITESPACE)
        raw, parts, first = "", [], 0
    if raw:
        yield first, raw, " ".join(parts).strip(WHITESPACE)


def _physical_lines(text: str) -> list[str]:
    """Split after every newline, and nowhere else (`str.splitlines` also splits at form feeds and the like)."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _continues(content: str) -> bool:
    """Whether the line ends in a backslash that is not itself escaped."""
    return (len(content) - len(content.rstrip("\\"))) % 2 == 1


def _entry(raw: str, content: str, section: str | None, line: int, source: str) -> Entry:
    if line == 1:
        content = content.removeprefix(BYTE_ORDER_MARK).strip(WHITESPACE)
        if content.startswith(COMMENT_MARKS):
            content = ""
    if not content:
        return Entry(raw)
    if content.startswith("["):
        return Entry(raw, section=_section_name(content, line, source))
    return Entry(raw, option=_option(content, section, line, source))


def _section_name(content: str, line: int, source: str) -> str:
    name = content[1:-1]
    if not content.endswith("]") or not _SECTION_NAME.fullmatch(name):
        raise located(source, line, f"{_shown(content)} is no section header (write [Name])")
    return name


def _option(content: str, section: str | None, line: int, source: str) -> Option:
    name, equals, value = content.partition("=")
    name = name.rstrip(WHITESPACE)
    if not equals:
        raise located(source, line, f"{_shown(content)} is no assignment (write Name=value)")
    if not _OPTION_NAME.fullmatch(name):
        raise located(source, line, f"{_shown(name)} is no option's name (write Name=value)")
    if section is None:
        raise located(source, line, f"{name}= stands before any section (write [Unit] or [Service] above it)")
    return Option(section, name, value.lstrip(WHITESPACE), line)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
