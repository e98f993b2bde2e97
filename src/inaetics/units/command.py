"""Command lines of `Exec…=` directives, and the variables in them, as systemd reads them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from inaetics.errors import UnitFileError
from inaetics.units.quoting import scan, split_words

_REFUSED_PREFIXES = {
    "+": "it asks for full privileges, which the embedded supervisor does not give back",
    "!": "it asks for privileges that are dropped later, which the embedded supervisor does not do",
}
_BRACED = re.compile(r"\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\"'\\]")
_WHOLE = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program and its arguments, specifiers and variables not yet replaced.

    `argv[0]` is the program: an absolute path, or a bare name searched in PATH. `argv0`, when not None, is what the
    program is told its name is (prefix `@`). `ignore_failure`: prefix `-`. `substitute` is False with the prefix
    `:`, which leaves variables alone.
    """

    argv: tuple[str, ...]
    argv0: str | None = None
    ignore_failure: bool = False
    substitute: bool = True


def split_command(line: str) -> Command:
    """Read a line that holds exactly one command."""
    commands = split_commands(line)
    if len(commands) != 1:
        raise UnitFileError(f"{line[:120]!r} holds {len(commands)} commands, expected one")
    return commands[0]


def split_commands(line: str) -> tuple[Command, ...]:
    """Read a line of one or more commands separated by `;`. Raises `UnitFileError` without a line."""
    groups: list[list[str]] = [[]]
    for word in scan(line):
        if word.is_separator:
            groups.append([])
        else:
            groups[-1].append(word.text)
    if len(groups) > 1 and not groups[-1]:
        groups.pop()  # systemd accepts a `;` at the end
    return tuple(_command(words, line) for words in groups)


def expand_variables(argv: Iterable[str], env: Mapping[str, str]) -> tuple[str, ...]:
    """Replace variables: `${X}` within a word; a word that is `$X` alone becomes the words in X, maybe none.

    `$$` is a dollar sign. A variable that is not set counts as empty. What has another form (`${X:-y}`, `$1`) stays
    as it is, for the shells that understand it.
    """
    words: list[str] = []
    for word in argv:
        if whole := _WHOLE.fullmatch(word):
            words.extend(split_words(env.get(whole[1], "")))
        else:
            words.append(_BRACED.sub(lambda match: "$" if match[0] == "$$" else env.get(match[1], ""), word))
    return tuple(words)


def _command(words: list[str], line: str) -> Command:
    if not words:
        raise UnitFileError(f"{line[:120]!r} names no program")
    program = words[0].lstrip("-@:+!")
    prefixes = words[0].removesuffix(program) if program else words[0]
    arguments = tuple(words[1:])
    _check_prefixes(prefixes, words[0])
    _check_program(program, words[0])
    argv0 = None
    if "@" in prefixes:
        if not arguments:
            raise UnitFileError(f"{words[0]!r} has the prefix @, so the program's name for itself must follow it")
        argv0, arguments = arguments[0], arguments[1:]
    return Command(
        argv=(program, *arguments), argv0=argv0, ignore_failure="-" in prefixes, substitute=":" not in prefixes
    )


def _check_prefixes(prefixes: str, word: str) -> None:
    for prefix in prefixes:
        if prefix in _REFUSED_PREFIXES:
            raise UnitFileError(f"the prefix '{prefix}' of {word!r} is refused: {_REFUSED_PREFIXES[prefix]}")
        if prefixes.count(prefix) > 1:
            raise UnitFileError(f"the prefix '{prefix}' of {word!r} is given twice")


def _check_program(program: str, word: str) -> None:
    if not program or program.endswith("/"):
        raise UnitFileError(f"{word!r} names no program")
    if program.startswith("$"):
        raise UnitFileError(f"the program cannot be a variable: {word!r} (put /usr/bin/env before it)")
    if "/" in program and not program.startswith("/"):
        raise UnitFileError(f"{word!r} is neither an absolute path nor a bare name to look for in PATH")
    if _UNSAFE.search(program):
        raise UnitFileError(f"the program's path {program!r} contains a quote, a backslash or a control character")
