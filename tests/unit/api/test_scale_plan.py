"""Which units make a set bigger or smaller, and how big the workers let it become."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inaetics.api.scale_plan import check_count, check_rules, entry, members, room, wishes
from inaetics.api.scale_wire import Rules, SetEntry, SetRule
from inaetics.errors import Conflict, InvalidInput, NotFound
from inaetics.fleet import mapper
from inaetics.fleet.batch import Wish
from inaetics.fleet.model import Desired, Machine, MachineId, Placement, Snapshot, Unit, UnitName
from inaetics.fleet.requirements import RequirementsCache

PROCESSORS = SetRule(agents=("felix@3+", "celix@2+"))
PRODUCERS = SetRule(agents=("celix@1", "producer@1+"), most=4)
ALONE = "[Service]\nExecStart=/bin/true\n[X-Fleet]\nConflicts={prefix}@*.service\n"


def unit(name: str, desired: Desired = Desired.LAUNCHED) -> Unit:
    text = ALONE.format(prefix=name.partition("@")[0])
    return Unit(
        name=UnitName(name),
        text=text,
        content_hash=mapper.content_hash(text),
        desired=desired,
        generation=1,
        revision=1,
    )


TEMPLATES = tuple(unit(f"{kind}@.service", Desired.INACTIVE) for kind in ("felix", "celix", "producer"))


def fleet(*agents: str, workers: int = 5) -> Snapshot:
    """A fleet in which these agents run, one of a kind on a machine."""
    machines = {
        MachineId(f"{n:032x}"): Machine(id=MachineId(f"{n:032x}"), name=f"worker-{n}", address="", incarnation="1")
        for n in range(1, workers + 1)
    }
    units = [unit(f"{agent}.service") for agent in agents]
    free = {kind: iter(machines) for kind in ("felix", "celix", "producer", "other")}
    placements = [
        Placement(
            unit=each.name,
            machine=next(free[each.name.partition("@")[0]]),
            content_hash=each.content_hash,
            desired=Desired.LAUNCHED,
            reason="",
            since=0,
            revision=1,
            create_revision=1,
        )
        for each in units
    ]
    return Snapshot(
        revision=1,
        units={each.name: each for each in (*TEMPLATES, *units)},
        machines=machines,
        placements={(each.machine, each.unit): each for each in placements},
    )


def asked(found: list[Wish]) -> list[str]:
    return [("-" if wish.destroy else "+") + wish.name.removesuffix(".service") for wish in found]


@pytest.mark.parametrize(
    ("rule", "agents", "count", "actions"),
    [
        pytest.param(PROCESSORS, "felix@3 celix@2", 3, "+celix@3", id="the next number of the last name"),
        pytest.param(PROCESSORS, "celix@1 celix@2 celix@4", 3, "+celix@3", id="a gap is filled"),
        pytest.param(PROCESSORS, "celix@2 celix@10 celix@9", 2, "-celix@10", id="the highest goes, by number"),
        pytest.param(PROCESSORS, "felix@3 celix@2", 1, "-celix@2", id="the last name goes first"),
        pytest.param(PROCESSORS, "felix@3 celix@2", 0, "-celix@2 -felix@3", id="then those before"),
        pytest.param(PROCESSORS, "celix@1 felix@2 celix@02 other@2", 1, "+celix@2", id="others are not of the set"),
        pytest.param(PRODUCERS, "producer@1", 2, "+celix@1", id="a name that does not run comes first"),
        pytest.param(PRODUCERS, "celix@1", 3, "+producer@1 +producer@2", id="several at once"),
        pytest.param(PRODUCERS, "celix@1 producer@1", 2, "", id="as many as there are"),
    ],
)
def test_what_a_number_comes_to(rule: SetRule, agents: str, count: int, actions: str) -> None:
    assert asked(wishes(rule, fleet(*agents.split()), count)) == actions.split()


def test_a_stopped_agent_is_started_as_it_is() -> None:
    snapshot = fleet()
    known = unit("celix@1.service", Desired.LOADED)
    snapshot = replace(snapshot, units={**snapshot.units, known.name: known})
    assert wishes(PRODUCERS, snapshot, 1) == [Wish(name="celix@1.service", desired=Desired.LAUNCHED)]


def test_a_template_that_is_missing_is_named() -> None:
    with pytest.raises(NotFound, match=r"celix@2\.service: its template celix@\.service is not submitted"):
        wishes(PROCESSORS, replace(fleet(), units={}), 1)


@given(st.sets(st.integers(1, 12)), st.sets(st.integers(1, 12)), st.integers(0, 8))
def test_applied_there_is_nothing_left_to_do_and_others_are_as_they_were(
    felix: set[int], celix: set[int], count: int
) -> None:
    agents = [f"felix@{n}" for n in felix] + [f"celix@{n}" for n in celix]
    snapshot = fleet(*agents, workers=20)
    units = dict(snapshot.units)
    for wish in wishes(PROCESSORS, snapshot, count):
        if wish.destroy:
            del units[UnitName(wish.name)]
        else:
            units[UnitName(wish.name)] = unit(wish.name)
    after = replace(snapshot, units=units)
    assert len(members(PROCESSORS, units.values())) == count
    assert wishes(PROCESSORS, after, count) == []
    kept = {"celix@1.service", "felix@1.service", "felix@2.service"}
    assert kept & snapshot.units.keys() == kept & units.keys()


@pytest.mark.parametrize(
    ("rule", "agents", "workers", "fits"),
    [
        pytest.param(PROCESSORS, "celix@1 celix@2", 5, 4, id="one agent of a kind a worker"),
        pytest.param(PROCESSORS, "felix@1 felix@2 felix@3 celix@1 celix@2", 5, 5, id="two names share it"),
        pytest.param(PROCESSORS, "celix@1", 1, 0, id="none"),
        pytest.param(PRODUCERS, "celix@1 celix@2", 5, 4, id="the operator's limit is the limit"),
        pytest.param(PRODUCERS, "celix@1 celix@2", 2, 3, id="beside other kinds"),
    ],
)
def test_the_workers_room(rule: SetRule, agents: str, workers: int, fits: int) -> None:
    assert room(rule, fleet(*agents.split(), workers=workers), RequirementsCache()) == fits


def test_what_a_lost_worker_held_counts_if_there_is_room_for_it_elsewhere() -> None:
    snapshot = fleet("celix@1", "celix@2", "celix@3", workers=3)
    machines = dict(list(snapshot.machines.items())[:2])
    now = entry("processors", PROCESSORS, replace(snapshot, machines=machines), RequirementsCache())
    assert (now.wanted, now.room) == (2, 1)


def test_what_is_being_given_up_is_room() -> None:
    snapshot = fleet("celix@1", "celix@2", "celix@3", workers=3)
    units = {name: each for name, each in snapshot.units.items() if name != "celix@3.service"}
    assert room(PROCESSORS, replace(snapshot, units=units), RequirementsCache()) == 2


def test_looking_at_room_changes_nothing() -> None:
    snapshot = fleet("celix@1")
    before = dict(snapshot.units), dict(snapshot.placements)
    room(PROCESSORS, snapshot, RequirementsCache())
    assert (dict(snapshot.units), dict(snapshot.placements)) == before


NOW = SetEntry(kind="processors", wanted=3, running=3, least=1, most=4, room=4, limit=6)


@pytest.mark.parametrize(
    ("count", "error", "words"),
    [
        (0, InvalidInput, "there are at least 1"),
        (-1, InvalidInput, "there are at least 1"),
        (7, InvalidInput, "at most 6 are allowed .an operator sets that: inaetics scale processors --most 7"),
        (5, Conflict, "the cluster's 5 workers have room for 4"),
    ],
)
def test_a_number_that_cannot_be_says_what_can(count: int, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        check_count(NOW, count, workers=5)


def test_fewer_are_always_possible_also_where_there_are_more_than_fit() -> None:
    check_count(SetEntry(kind="p", wanted=6, running=2, least=1, most=2, room=2), 5, workers=2)


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        ({"a": SetRule(agents=())}, "names no agents"),
        ({"a": SetRule(agents=("celix",))}, "celix@2\\+ for all from 2 on"),
        ({"a": SetRule(agents=("celix@1",), least=3, most=2)}, "3 to 2"),
        ({"a": SetRule(agents=("celix@1",), least=-1)}, "0 to 1000"),
        ({"a": SetRule(agents=("celix@2+",)), "b": SetRule(agents=("celix@7",))}, "in 'a' already"),
        ({"A b": SetRule(agents=("celix@1",))}, "no name for a set"),
    ],
)
def test_sets_that_cannot_be_are_refused(sets: dict[str, SetRule], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        check_rules(Rules(sets=sets))
