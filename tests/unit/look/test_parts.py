"""What the pages' scripts know of the fleet's words."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from inaetics.fleet.events import Kind, Timeline

PARTS = (files("inaetics.look") / "parts.js").read_text()


def block(begin: str, end: str) -> str:
    _, _, rest = PARTS.partition(begin)
    found, closed, _ = rest.partition(end)
    assert closed
    return found


@pytest.mark.parametrize("name", ["TONES", "SMALL"])
def test_kinds_of_events_are_the_fleets_own(name: str) -> None:
    if name == "TONES":
        kinds = re.findall(r'"?([\w-]+)"?: "\w+"', block("const TONES = {", "};"))
    else:
        kinds = re.findall(r'"([\w-]+)"', block("export const SMALL = new Set([", "]"))
    assert len(kinds) >= 8
    assert set(kinds) <= set(Kind)


def test_the_steps_of_a_failover_are_the_fleets_own() -> None:
    steps = re.findall(r'"(\w+)"', block("const PLACES = [", "]"))
    assert [f"{step}_ms" for step in steps] == [each for each in Timeline.__struct_fields__ if each.endswith("_ms")]
