"""Specifiers: what `%i` and its like stand for.

A part of systemd's, with its meanings. The others are errors rather than text left as it is: a unit that works here
must mean the same under systemd.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from inaetics.errors import UnitFileError
from inaetics.units.names import Name

MEANINGS: Mapping[str, str] = {
    "%n": "the unit's full name: `felix@1.service`",
    "%N": "the name without its type: `felix@1`",
    "%p": "the prefix, before the `@`: `felix`; the same as `%N` where there is no instance",
    "%i": "the instance, between `@` and type: `1`; empty where there is none",
    "%m": "the id of the machine the unit runs on, 32 hexadecimal digits",
    "%H": "the name of the host the unit runs on",
    "%%": "a percent sign",
}

_SPECIFIER = re.compile(r"%(.?)", re.DOTALL)


def expand(text: str, *, name: Name, machine_id: str = "", host_name: str = "") -> str:
    """Replace the specifiers in `text`. Raises `UnitFileError`, without a line, for one that is not known."""
    return _substitute(text, {**_of_name(name), "m": machine_id, "H": host_name})


def expand_unplaced(text: str, *, name: Name) -> str:
    """As `expand`, where no machine is chosen yet: `%m` and `%H` are errors."""
    return _substitute(text, _of_name(name))


def escape(text: str) -> str:
    """Write `text` so that `expand` gives it back."""
    return text.replace("%", "%%")


def _of_name(name: Name) -> dict[str, str]:
    return {"n": str(name), "N": name.stem, "p": name.prefix, "i": name.instance or "", "%": "%"}


def _substitute(text: str, known: Mapping[str, str]) -> str:
    def replacement(match: re.Match[str]) -> str:
        letter = match.group(1)
        if letter in known:
            return known[letter]
        if letter in ("m", "H"):
            raise UnitFileError(f"%{letter} is not known here: no machine is chosen yet")
        names = " ".join(f"%{letter}" for letter in known)
        raise UnitFileError(f"unknown specifier '%{letter}' in {text!r} (known here: {names}; write %% for a percent)")

    return _SPECIFIER.sub(replacement, text)
