"""What a unit's file says that listings show, read once a file. Pure.

A stored file was verified before it was stored; one that cannot be read all the same (another version wrote it) shows
nothing rather than break every listing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from inaetics.errors import InvalidInput
from inaetics.units.fleet_section import fleet_section
from inaetics.units.grammar import Option, UnitFile, parse
from inaetics.units.names import parse_name

_ANY_NAME = parse_name("any@any.service")
"""Whether a unit is global does not depend on its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """`description` has its specifiers as written: `views` replaces them."""

    options: tuple[Option, ...] = ()
    description: str = ""
    is_global: bool = False


@lru_cache(maxsize=4096)
def facts(text: str) -> Facts:
    """Read the file `text`, whatever unit it is of: the thousand instances of a template are read once."""
    try:
        unit = parse(text)
        return Facts(
            options=unit.options,
            description=unit.get("Unit", "Description") or "",
            is_global=_is_global(unit),
        )
    except InvalidInput:
        return Facts()


def _is_global(unit: UnitFile) -> bool:
    try:
        return fleet_section(unit, _ANY_NAME).is_global
    except InvalidInput:
        return False
