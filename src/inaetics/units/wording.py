"""Words that errors of this room share."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from inaetics.errors import InvalidInput, UnitFileError
from inaetics.units.grammar import Option, UnitFile


def nearest(name: str, known: Iterable[str]) -> str:
    """` (did you mean X?)` when a known name is near, else nothing."""
    by_lower = {other.lower(): other for other in known}
    matches = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return f" (did you mean {by_lower[matches[0]]}=?)" if matches else ""


def at_option(unit: UnitFile, option: Option, error: InvalidInput) -> UnitFileError:
    """Turn an error about a value into one that names the option and its line."""
    return unit.error(f"[{option.section}] {option.name}=: {error}", option.line)
