"""Reading values of directives: each is given to a parser, and a parser's error gets the directive and its line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from signal import Signals
from typing import TypeVar

from inaetics.errors import InvalidInput, UnitFileError
from inaetics.units import values
from inaetics.units.grammar import Option, UnitFile
from inaetics.units.names import Name
from inaetics.units.specifiers import Host, expand
from inaetics.units.wording import at_option

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)


class Reader:
    """Gives the values of the directives of one service, read by a parser."""

    def __init__(self, unit: UnitFile, name: Name, host: Host) -> None:
        self.unit = unit
        self.name = name
        self._host = host
        self._by_name = _in_effect(unit)

    def options(self, *names: str) -> list[Option]:
        """The assignments in effect in [Unit] and [Service], in the order written."""
        found = [each for name in names for each in self._by_name.get(name, ())]
        return [option for _, option in sorted(found)] if found else []

    def one(self, default: T, read: Callable[[str], T], *names: str) -> T:
        """The last assignment of any of `names`."""
        options = self.options(*names)
        return self.read(options[-1], read) if options else default

    def all(self, read: Callable[[str], Iterable[T]], *names: str) -> tuple[T, ...]:
        """What every assignment gives, one after another."""
        return tuple(
            item for option in self.options(*names) for item in self.read(option, lambda text: tuple(read(text)))
        )

    def expanded(self, text: str) -> str:
        """The text with its specifiers replaced."""
        return expand(text, name=self.name, host=self._host)

    def error(self, message: str, *names: str) -> UnitFileError:
        """An error at the last assignment of any of `names`, or about the unit as a whole."""
        options = self.options(*names) if names else []
        return self.unit.error(message, options[-1].line if options else None)

    def read(self, option: Option, read: Callable[[str], T]) -> T:
        """The value of one assignment."""
        try:
            return read(option.value)
        except InvalidInput as error:
            raise at_option(self.unit, option, error) from error

    def path(self, text: str) -> str:
        """An absolute path, its specifiers replaced."""
        path = self.expanded(text)
        if not path.startswith("/"):
            raise UnitFileError(f"{path!r} is no absolute path")
        return path

    def account(self, text: str) -> str:
        """The name or number of a user or group, its specifiers replaced."""
        account = self.expanded(text)
        if not re.fullmatch(r"[0-9]+|[A-Za-z_][A-Za-z0-9_.-]*\$?", account):
            raise UnitFileError(f"{account!r} is no name or number of a user or group")
        return account


def _in_effect(unit: UnitFile) -> dict[str, list[tuple[int, Option]]]:
    """Return the assignments in effect by name, with their places in the file; most of what is asked for is absent."""
    sections: dict[tuple[str, str], list[tuple[int, Option]]] = {}
    for at, option in enumerate(unit.options):
        if option.section in ("Unit", "Service"):
            said = sections.setdefault((option.section, option.name), [])
            if option.value:
                said.append((at, option))
            else:
                said.clear()
    found: dict[str, list[tuple[int, Option]]] = {}
    for (_, name), said in sections.items():
        found.setdefault(name, []).extend(said)
    return found


def word(kind: type[E], what: str) -> Callable[[str], E]:
    """A parser of one of the words of `kind`."""
    return lambda text: kind(values.one_of(text, tuple(kind), what))


def refusing(known: Mapping[str, str], read: Callable[[str], T]) -> Callable[[str], T]:
    """A parser that says of the words in `known` why they are refused."""

    def parser(text: str) -> T:
        if text in known:
            raise UnitFileError(f"{text} is refused: {known[text]}")
        return read(text)

    return parser


def signal_number(text: str) -> Signals:
    """The name of a signal, with SIG or without, or its number."""
    name = text if text.startswith("SIG") else f"SIG{text}"
    try:
        return Signals(int(text)) if text.isdigit() else Signals[name]
    except (KeyError, ValueError) as error:
        raise UnitFileError(f"{text!r} is no signal (write SIGTERM)") from error
