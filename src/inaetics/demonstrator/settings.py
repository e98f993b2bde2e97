"""Checks of what people set on a page or a command line; pure."""

from __future__ import annotations

import math

from inaetics.errors import InvalidInput


def within(value: object, most: float, what: str, unit: str) -> float:
    """`value` as a float. Raises `InvalidInput` unless it is a number from 0 to `most`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidInput(f"cannot set {what} of {value!r}: it is a number from 0 to {most:g} {unit}")
    if not 0 <= value <= most:
        raise InvalidInput(f"cannot set {what} of {value:g}: it is from 0 to {most:g} {unit}")
    return float(value)
