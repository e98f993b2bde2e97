"""Splitting a value into words as systemd does, and writing words so that they survive it.

The rules (systemd.syntax(7), systemd.service(5) "Command lines"): words are separated by blanks; single and double
quotes hold a word together, anywhere in it, and are removed; backslash escapes of C count inside quotes and outside;
an escape that C does not know stays as written.

Promises: `split_words(" ".join(map(quote, words))) == words` for any words without NUL.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from inaetics.errors import UnitFileError

BLANKS = " \t\r\n"

_SIMPLE_ESCAPES = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    "\\": "\\", '"': '"', "'": "'", "s": " ",
}  # fmt: skip
_NUMERIC_ESCAPE = re.compile(r"x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})")
_PLAIN_WORD = re.compile(r"[^\s\"'\\;\x00-\x1f\x7f]+")
_PRINTED_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


@dataclass(frozen=True, slots=True)
class Word:
    """A word, and whether it is a `;` on its own outside quotes, which separates commands."""

    text: str
    is_separator: bool = False


def split_words(text: str) -> tuple[str, ...]:
    """Split into words; quotes and escapes are resolved. Raises `UnitFileError` for a quote that is not closed."""
    return tuple(word.text for word in scan(text))


def scan(text: str) -> tuple[Word, ...]:
    """As `split_words`, telling a separating `;` from a quoted one (and from `\\;`, which is a plain `;`)."""
    words: list[Word] = []
    at = _past_blanks(text, 0)
    while at < len(text):
        token = re.match(r"\\?;(?=[ \t\r\n]|$)", text[at : at + 3])
        if token:
            words.append(Word(";", is_separator=token[0] == ";"))
            at += len(token[0])
        else:
            word, at = _word(text, at)
            words.append(Word(word))
        at = _past_blanks(text, at)
    return tuple(words)


def quote(word: str) -> str:
    """Write one word so that splitting gives it back. Specifiers and variables in it keep their meaning."""
    if _PLAIN_WORD.fullmatch(word):
        return word
    return '"' + "".join(_printed(character) for character in word) + '"'


def quote_literal(word: str) -> str:
    """Write one word so that a command line passes it on exactly: `%` and `$` too have no meaning in it."""
    return quote(word.replace("%", "%%").replace("$", "$$"))


def join(words: tuple[str, ...] | list[str], quoted: Callable[[str], str] = quote) -> str:
    """Write words as one value."""
    return " ".join(quoted(word) for word in words)


def _past_blanks(text: str, at: int) -> int:
    while at < len(text) and text[at] in BLANKS:
        at += 1
    return at


def _word(text: str, at: int) -> tuple[str, int]:
    """Read the word that starts at `at`; return it and the position after it."""
    parts: list[str] = []
    open_quote = ""
    while at < len(text) and (open_quote or text[at] not in BLANKS):
        character = text[at]
        at += 1
        if character == "\\":
            part, at = _escape(text, at)
            parts.append(part)
        elif character == open_quote:
            open_quote = ""
        elif not open_quote and character in "\"'":
            open_quote = character
        else:
            parts.append(character)
    if open_quote:
        raise UnitFileError(f"the quote {open_quote} is not closed in {text[:120]!r}")
    return "".join(parts), at


def _escape(text: str, at: int) -> tuple[str, int]:
    """Read what follows a backslash at `at`."""
    if at >= len(text):
        return "\\", at
    if simple := _SIMPLE_ESCAPES.get(text[at]):
        return simple, at + 1
    numeric = _NUMERIC_ESCAPE.match(text, at)
    if numeric is None:
        return "\\" + text[at], at + 1
    code = int(numeric[4], 8) if numeric[4] else int(numeric[1] or numeric[2] or numeric[3], 16)
    if code == 0 or code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        raise UnitFileError(f"the escape \\{numeric[0]} stands for no character")
    return chr(code), numeric.end()


def _printed(character: str) -> str:
    if character in _PRINTED_ESCAPES:
        return _PRINTED_ESCAPES[character]
    if character < " " or character == "\x7f":
        return f"\\x{ord(character):02x}"
    return character
