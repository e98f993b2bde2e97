"""The reference pages say what the code does."""

from __future__ import annotations

from pathlib import Path

import pytest

from inaetics.units.directives_table import markdown
from inaetics.units.fleet_section import OLD_SPELLINGS, OPTIONS, REFUSED
from inaetics.units.grammar import parse
from inaetics.units.names import parse_name
from inaetics.units.specifiers import MEANINGS
from inaetics.units.verify import verify

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"
UNIT_FILES = (REFERENCE / "unit-files.md").read_text()


WRITE_IT = "write it again: python -m inaetics.units.directives_table > docs/reference/directives.md"


def test_the_page_of_directives_is_the_generated_one() -> None:
    page = (REFERENCE / "directives.md").read_text()
    assert page == markdown(), WRITE_IT


@pytest.mark.parametrize("option", [*OPTIONS, *OLD_SPELLINGS, *REFUSED])
def test_every_option_of_the_fleet_is_described(option: str) -> None:
    assert f"`{option}=" in UNIT_FILES or f"`{option}`" in UNIT_FILES


@pytest.mark.parametrize("specifier", MEANINGS)
def test_every_specifier_is_described(specifier: str) -> None:
    assert f"| `{specifier}` |" in UNIT_FILES


def test_the_examples_are_units_that_the_fleet_takes() -> None:
    examples = [block.partition("```")[0] for block in UNIT_FILES.split("```ini\n")[1:]]
    assert len(examples) == 2
    for example in examples:
        verify(parse(example), parse_name("felix@1.service"))
