"""The commands' reference: complete, and up to date."""

from __future__ import annotations

from pathlib import Path

from inaetics.cli.fleetctl import COMMANDS
from inaetics.cli.inaetics import COMMANDS as HOST_COMMANDS
from inaetics.cli.reference import reference

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "commands.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == reference(), (
        "write it anew: python -m inaetics.cli.reference > docs/reference/commands.md"
    )


def test_every_command_has_its_section() -> None:
    headings = set(reference().splitlines())
    assert {f"### fleetctl {name}" for name in COMMANDS} <= headings
    assert {f"### inaetics {name}" for name in HOST_COMMANDS} <= headings
    assert "## inaetics_fleet_manager" in headings
