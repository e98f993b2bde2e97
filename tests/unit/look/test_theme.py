"""The pages' colours: readable in both schemes by everybody."""

from __future__ import annotations

import re
from importlib.resources import files
from itertools import product

import pytest

ENOUGH = 4.5
"""Contrast of small text, WCAG 2.1, success criterion 1.4.3 (AA)."""

GROUNDS = ("bg", "card")
INKS = ("ink", "muted", "blue", "orange", "green", "red", "violet")


def schemes() -> dict[str, dict[str, str]]:
    text = (files("inaetics.look") / "theme.css").read_text()
    light, dark = text.split("prefers-color-scheme: dark", 1)
    colours = {
        name: dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", part)) for name, part in (("light", light), ("dark", dark))
    }
    return {"light": colours["light"], "dark": {**colours["light"], **colours["dark"]}}


def luminance(colour: str) -> float:
    """Relative luminance of "#rrggbb", 0 to 1 (WCAG 2.1)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(("scheme", "ground", "ink"), list(product(("light", "dark"), GROUNDS, INKS)))
def test_text_is_readable(scheme: str, ground: str, ink: str) -> None:
    colours = schemes()[scheme]
    assert contrast(colours[ink], colours[ground]) >= ENOUGH


def test_black_on_white_is_21() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
