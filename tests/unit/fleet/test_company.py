"""What contradicts itself together with others is refused when it is submitted, and does no harm when it arises."""

from __future__ import annotations

import pytest

from inaetics.errors import InvalidInput
from inaetics.fleet.company import check_company
from inaetics.fleet.requirements import RequirementsCache
from tests.unit.fleet.leader import Leader, settle
from tests.unit.fleet.world import World, machine_id, service


def check(submitted: dict[str, str], **files: str) -> None:
    world = World()
    for name, text in submitted.items():
        world.submit(name, text)
    check_company(world.snapshot, {f"{name}.service": text for name, text in files.items()}, RequirementsCache())


@pytest.mark.parametrize(
    ("submitted", "files", "words"),
    [
        pytest.param(
            {"b.service": service("MachineOf=a.service")},
            {"a": service("MachineOf=b.service")},
            r"MachineOf= goes round in a circle \(a\.service → b\.service → a\.service\)",
            id="two that wait for each other",
        ),
        pytest.param(
            {"b.service": service("MachineOf=c"), "c.service": service("MachineOf=d", "MachineOf=a")},
            {"a": service("MachineOf=b.service")},
            r"\(a\.service → b\.service → c\.service → a\.service\)",
            id="a longer way round",
        ),
        pytest.param(
            {},
            {"a": service("MachineOf=b"), "b": service("MachineOf=a")},
            "goes round in a circle",
            id="submitted together",
        ),
        pytest.param(
            {"b.service": service("Replaces=a*")},
            {"a": service("Replaces=b.service")},
            r"Replaces= goes round in a circle \(a\.service → b\.service → a\.service\)",
            id="two that drive each other away",
        ),
        pytest.param(
            {"b.service": service("Replaces=c*"), "c.service": service("Replaces=a.service")},
            {"a": service("Replaces=b.service")},
            r"a\.service → b\.service → c\.service → a\.service",
            id="three that drive each other away",
        ),
        pytest.param(
            {"b.service": service("Conflicts=a*")},
            {"a": service("MachineOf=b.service")},
            r"it is to be where b\.service is \(MachineOf=\), which wants no a\* beside it",
            id="a companion that cannot stand it",
        ),
    ],
)
def test_refuses(submitted: dict[str, str], files: dict[str, str], words: str) -> None:
    """Seen to fail when the units that come along, or those already there, are left out."""
    with pytest.raises(InvalidInput, match=words):
        check(submitted, **files)


@pytest.mark.parametrize(
    ("submitted", "files"),
    [
        pytest.param({}, {"a": service("MachineOf=b.service")}, id="a companion that is not there yet"),
        pytest.param(
            {"b.service": service("MachineOf=c"), "d.service": service("MachineOf=c")},
            {"a": service("MachineOf=b", "MachineOf=d")},
            id="two ways to one companion",
        ),
        pytest.param({"b.service": service("MachineOf=a")}, {"b": service(), "a": service("MachineOf=b")}, id="undone"),
        pytest.param({"b.service": service("Replaces=c*")}, {"a": service("Replaces=b*")}, id="one after the other"),
        pytest.param({}, {"a": service("Replaces=a*")}, id="a glob that covers the unit itself"),
        pytest.param({}, {"a": "[Service\n"}, id="what cannot be read is refused elsewhere"),
    ],
)
def test_takes(submitted: dict[str, str], files: dict[str, str]) -> None:
    check(submitted, **files)


def test_units_that_drive_each_other_away_come_to_rest_all_the_same() -> None:
    """Both are placed, apart; with one machine only one is, and nobody moves back and forth."""
    world = World()
    world.up(1)
    world.submit("a.service", service("Replaces=b.service"))
    world.submit("b.service", service("Replaces=a.service"))
    leader = Leader(world)
    settle(world, leader, 1)
    assert len(world.snapshot.placements) == 1
    world.up(2)
    settle(world, leader, 2)
    assert {machine for machine, _ in world.snapshot.placements} == {machine_id(1), machine_id(2)}
