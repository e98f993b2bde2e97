"""Checks of what people set: on a page, by a command, in a unit's `INAETICS_PROPERTIES`; pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from inaetics.errors import InvalidInput


def within(value: object, most: float, what: str, unit: str) -> float:
    """`value` as a float. Raises `InvalidInput` unless it is a number from 0 to `most`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidInput(f"cannot set {what} of {value!r}: it is a number from 0 to {most:g} {unit}")
    if not 0 <= value <= most:
        raise InvalidInput(f"cannot set {what} of {value:g}: it is from 0 to {most:g} {unit}")
    return float(value)


def one_of(value: object, choices: Sequence[str], what: str) -> str:
    """`value`, when it is one of the choices. Raises `InvalidInput` otherwise."""
    if not isinstance(value, str) or value not in choices:
        raise InvalidInput(f"cannot set {what} of {value!r}: it is one of {', '.join(choices)}")
    return value


class Given:
    """Framework properties below one prefix, as a bundle's author and a unit's author both need them.

    Raises `InvalidInput` for a name below the prefix that is none of `known`: a slip of the pen must not be swallowed.
    """

    def __init__(self, properties: Mapping[str, object], prefix: str, *known: str) -> None:
        self._prefix = prefix
        self._values = {
            name.removeprefix(prefix): value for name, value in properties.items() if name.startswith(prefix)
        }
        for name in sorted(self._values.keys() - set(known)):
            there = ", ".join(prefix + each for each in known)
            raise InvalidInput(f"there is no property {prefix}{name} (there are: {there}; {_WHERE})")

    def number(self, name: str, default: float, *, least: float, most: float, unit: str) -> float:
        """A number within bounds."""
        value = self._values.get(name, default)
        try:
            number = float(value) if isinstance(value, str | int | float) else math.nan
        except ValueError:
            number = math.nan
        if not least <= number <= most:
            raise self._wrong(name, value, f"a number from {_plain(least)} to {_plain(most)} {unit}")
        return number

    def whole(self, name: str, default: int, *, least: int, most: int, unit: str) -> int:
        """A whole number within bounds."""
        number = self.number(name, default, least=least, most=most, unit=unit)
        if number != int(number):
            raise self._wrong(name, self._values[name], f"a whole number from {_plain(least)} to {_plain(most)} {unit}")
        return int(number)

    def word(self, name: str, default: str, choices: Sequence[str]) -> str:
        """One of the choices."""
        value = self._values.get(name, default)
        if value not in choices:
            raise self._wrong(name, value, f"one of {', '.join(choices)}")
        return str(value)

    def _wrong(self, name: str, value: object, wanted: str) -> InvalidInput:
        return InvalidInput(f"{self._prefix}{name} is {str(value)!r}: it must be {wanted} ({_WHERE})")


def _plain(number: float) -> str:
    """As people write it: 1,000,000."""
    return f"{number:,.17g}"


_WHERE = "set by INAETICS_PROPERTIES in the agent's unit"
