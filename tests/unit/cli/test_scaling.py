"""What `inaetics_fleet_manager --start` decides: up, down, again, with changed files; and what it leaves alone."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inaetics.cli.scaling import (
    CELIX,
    FELIX,
    PROVISIONING,
    Action,
    Destroy,
    File,
    Launch,
    Stored,
    Submit,
    plan,
    system_units,
    wanted_units,
)
from inaetics.errors import InvalidInput

FILES = {name: File(text=f"text of {name}", hash=f"hash of {name}") for name in (PROVISIONING, FELIX, CELIX)}


def template_of(name: str) -> str:
    return {"felix": FELIX, "celix": CELIX}.get(name.split("@")[0], PROVISIONING)


def stored(names: Iterable[str], desired: str = "launched") -> dict[str, Stored]:
    return {
        name: Stored(hash=f"hash of {template_of(name)}", desired="inactive" if name.endswith("@.service") else desired)
        for name in names
    }


def system(felix: int, celix: int) -> dict[str, Stored]:
    return stored([FELIX, CELIX, *wanted_units(felix=felix, celix=celix)])


def apply(before: dict[str, Stored], actions: list[Action]) -> dict[str, Stored]:
    """What is submitted after `actions`."""
    after = dict(before)
    for action in actions:
        match action:
            case Destroy():
                del after[action.name]
            case Launch():
                after[action.name] = Stored(hash=after[action.name].hash, desired="launched")
            case Submit():
                kept = after[action.name].desired if action.name in after else "inactive"
                desired = "launched" if action.launch else kept
                after[action.name] = Stored(hash=FILES[action.template].hash, desired=desired)
    return after


def test_from_nothing_everything_is_submitted_provisioning_first_then_felix_then_celix() -> None:
    actions = plan({}, FILES, felix=2, celix=1)
    assert actions == [
        Submit(name=FELIX, template=FELIX, launch=False),
        Submit(name=CELIX, template=CELIX, launch=False),
        Submit(name=PROVISIONING, template=PROVISIONING, launch=True),
        Submit(name="felix@1.service", template=FELIX, launch=True),
        Submit(name="felix@2.service", template=FELIX, launch=True),
        Submit(name="celix@1.service", template=CELIX, launch=True),
    ]


def test_again_there_is_nothing_to_do() -> None:
    assert plan(system(2, 2), FILES, felix=2, celix=2) == []


def test_up_starts_only_what_is_missing() -> None:
    assert plan(system(2, 2), FILES, felix=3, celix=2) == [Submit(name="felix@3.service", template=FELIX, launch=True)]


def test_down_destroys_the_highest_first() -> None:
    assert plan(system(2, 12), FILES, felix=2, celix=9) == [
        Destroy(name="celix@12.service"),
        Destroy(name="celix@11.service"),
        Destroy(name="celix@10.service"),
    ]


def test_down_to_none_leaves_the_provisioning_server() -> None:
    after = apply(system(2, 2), plan(system(2, 2), FILES, felix=0, celix=0))
    assert set(after) == {PROVISIONING, FELIX, CELIX}


def test_a_stopped_agent_is_started() -> None:
    before = system(1, 0) | {"felix@1.service": Stored(hash=FILES[FELIX].hash, desired="loaded")}
    assert plan(before, FILES, felix=1, celix=0) == [Launch(name="felix@1.service")]


def test_a_changed_file_replaces_the_template_and_its_instances_and_says_so() -> None:
    old = Stored(hash="another", desired="launched")
    before = system(2, 0) | {FELIX: Stored(hash="another", desired="inactive"), "felix@2.service": old}
    assert plan(before, FILES, felix=2, celix=0) == [
        Submit(name=FELIX, template=FELIX, launch=False, changed=True),
        Submit(name="felix@2.service", template=FELIX, launch=True, changed=True),
    ]


def test_what_is_not_of_the_system_is_left_alone() -> None:
    others = stored(["felix@blue.service", "hello.service", "helix@9.service", "felix@-1.service"])
    assert plan(system(1, 1) | others, FILES, felix=1, celix=1) == []
    assert system_units(others) == []


@given(*[st.integers(min_value=0, max_value=12)] * 4, st.sets(st.sampled_from(["hello.service", "felix@x.service"])))
def test_a_plan_applied_leaves_nothing_to_plan(f1: int, c1: int, f2: int, c2: int, others: set[str]) -> None:
    before = system(f1, c1) | stored(others)
    after = apply(before, plan(before, FILES, felix=f2, celix=c2))
    assert plan(after, FILES, felix=f2, celix=c2) == []
    assert set(after) == {FELIX, CELIX, *wanted_units(felix=f2, celix=c2), *others}


@pytest.mark.parametrize(("felix", "celix"), [(-1, 0), (0, -1), (1001, 0)])
def test_numbers_that_make_no_sense_are_refused(felix: int, celix: int) -> None:
    with pytest.raises(InvalidInput, match="agents: give a number from 0 to 1000"):
        wanted_units(felix=felix, celix=celix)
