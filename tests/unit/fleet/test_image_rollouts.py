"""Rollouts of images: which units are meant, what machines fetch, and that they end with all or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from inaetics.errors import Conflict, NotFound, Unavailable
from inaetics.fleet import keys, mapper, rollout_record
from inaetics.fleet.images import Manifest, digests_in_use, learnt
from inaetics.fleet.model import Desired, Placement, Snapshot, Unit, UnitName, UnitState
from inaetics.fleet.rollout import Phase, Progress, Rollout
from inaetics.fleet.rollout_health import Condition, OnTheWay, Well, condition, gate_of, runs
from inaetics.fleet.rollout_images import Meanings, chosen, draft_images, pulls
from inaetics.fleet.rollout_words import doing
from inaetics.store.protocol import Put
from inaetics.units.image_names import Followed
from tests.support.tags import digest
from tests.unit.fleet.rollout_trial import Trial, content, fates, is_good
from tests.unit.fleet.world import World, machine_id

OLD, NEW = digest("aa"), digest("bb")
IMAGE = "${INAETICS_REGISTRY}/inaetics/felix-agent:latest"
FELIX = Followed("${INAETICS_REGISTRY}", "inaetics/felix-agent", "latest")
CELIX = replace(FELIX, repository="inaetics/celix-agent")


def container(image: str = IMAGE) -> str:
    return f"[Container]\nImage={image}\n" + content("unused").replace("ExecStart=/bin/unused\n", "")


class ImageTrial(Trial):
    """As `Trial`, of units that follow a tag: they ran `OLD`, and the tag means `NEW` now."""

    @override
    def __post_init__(self) -> None:
        for number in (1, 2, 3):
            self.world.up(number)
        for name in self.names:
            self.give(name, OLD, self.desired.get(name, Desired.LAUNCHED))
        for _ in range(3):
            self.turn()

    def give(self, name: UnitName, image: str, desired: Desired = Desired.LAUNCHED) -> None:
        self.world.submit(name, container(), desired, image)

    def images(self) -> set[str]:
        return {self.world.snapshot.units[name].image for name in self.names}

    @override
    def begin(self) -> None:
        means = {FELIX: Manifest(digest=NEW)}
        made = draft_images(
            self.world.snapshot, (), means, rollout_id="r", at_once=self.at_once, by="test", now=self.now
        )
        self.world.commit([Put(key=keys.rollout("r"), value=rollout_record.value(made))])

    @override
    def is_new(self, placement: Placement) -> bool:
        return placement.image == NEW

    @override
    def is_ours(self, unit: Unit) -> bool:
        return unit.image in (OLD, NEW)


@settings(max_examples=60, deadline=None)
@given(
    some=st.lists(
        st.tuples(fates, st.sampled_from((Desired.LAUNCHED,) * 3 + (Desired.LOADED, Desired.INACTIVE))),
        min_size=1,
        max_size=6,
    ),
    at_once=st.integers(1, 3),
    kills=st.sets(st.integers(0, 80), max_size=6),
)
def test_it_ends_with_all_or_nothing_whoever_leads(
    some: Sequence[tuple[str, Desired]], at_once: int, kills: set[int]
) -> None:
    trial = ImageTrial.of(some, at_once=at_once)
    trial.begin()
    end = trial.to_the_end_under(kills)
    good = is_good(some)
    assert end.phase is (Phase.DONE if good else Phase.UNDONE)
    assert trial.images() == {NEW if good else OLD}
    for _ in range(3):
        trial.turn()
    placed = {placement.image for placement in trial.world.snapshot.placements.values()}
    assert placed <= trial.images(), "machines have what the records say"


@settings(max_examples=30, deadline=None)
@given(whom=st.integers(1, 3), when=st.integers(0, 30), bad=st.booleans())
def test_an_image_given_by_somebody_else_is_not_overwritten(whom: int, when: int, bad: bool) -> None:
    trial = ImageTrial(3, fates={"a@3.service": "fails"} if bad else {})
    trial.begin()
    name, theirs = UnitName(f"a@{whom}.service"), digest("cc")

    def between(turn: int) -> None:
        if turn == when and trial.rollout.runs:
            trial.give(name, theirs)

    end = trial.to_the_end(between)
    if trial.world.snapshot.units[name].image == theirs and end.phase is Phase.STOPPED:
        assert end.reason == f"{name} was given another image (cc00000)"
    elif trial.world.snapshot.units[name].image == theirs:
        assert end.phase is Phase.UNDONE
    else:
        assert when > 0, "they came after its end, or not at all"
        assert not any(unit.image == theirs for unit in trial.world.snapshot.units.values())


def test_what_goes_on_is_told_from_what_machines_report() -> None:
    trial = ImageTrial(1)
    trial.begin()
    todo = trial.step()
    assert todo
    assert trial.write(todo)
    [step] = trial.rollout.steps
    assert step.progress is Progress.CHANGING
    [(machine, name)] = [seat for seat in trial.world.snapshot.placements if seat[1] == "a@1.service"]
    where = trial.world.snapshot.machines[machine].name
    assert doing(trial.world.snapshot, step, [machine]) == f"on {where}: stops what ran before"
    trial.turn()
    state = trial.world.snapshot.states[machine, name]
    for active, sub, message, words in (
        ("activating", "start-pre", "pulling 34 of 38 MB", "pulling 34 of 38 MB"),
        ("activating", "start-pre", "", "starts"),
        ("deactivating", "stop", "", "stops what ran before"),
        ("activating", "auto-restart", "status 7", "activating (auto-restart), status 7"),
        ("active", "running", "", "active, to prove itself"),
    ):
        told = replace(state, active=active, sub=sub, message=message)
        trial.world.commit([Put(key=keys.state(machine, name), value=mapper.state_value(told))])
        assert doing(trial.world.snapshot, step, [machine]) == f"on {where}: {words}"
    assert trial.to_the_end().phase is Phase.DONE
    [step] = trial.rollout.steps
    assert doing(trial.world.snapshot, step, [machine]) == "active, healthy after 2 s"


def test_a_pull_may_take_long_but_not_stand_still() -> None:
    trial = ImageTrial(1, fates={"a@1.service": "pulls"})
    trial.begin()
    assert trial.to_the_end().phase is Phase.DONE
    trial = ImageTrial(1, fates={"a@1.service": "hangs"})
    trial.begin()
    end = trial.to_the_end()
    assert end.phase is Phase.UNDONE
    assert "not well within 21 s: it is activating (pulling) on w" in end.reason


def fleet_of(units: Mapping[str, tuple[str, str]]) -> World:
    """Units, placed on one machine after the other, by name: (image of the file, digest)."""
    world = World()
    for number in (1, 2):
        world.up(number)
    for number, (name, (image, kept)) in enumerate(units.items()):
        world.submit(name, container(image) if image else content("plain"), image=kept)
        _place(world, UnitName(name), 1 + number % 2)
    return world


def _place(world: World, name: UnitName, number: int) -> None:
    unit = world.snapshot.units[name]
    placement = Placement(
        unit=name,
        machine=machine_id(number),
        content_hash=unit.content_hash,
        image=unit.image,
        desired=unit.desired,
        reason="",
        since=0.0,
    )
    world.commit([Put(key=keys.placement(placement.machine, name), value=mapper.placement_value(placement))])


def _report(
    world: World, name: UnitName, image: str, content_hash: str | None = None, *, number: int = 1, since: float = 0.0
) -> None:
    state = UnitState(
        unit=name,
        machine=machine_id(number),
        load="loaded",
        active="active",
        sub="running",
        content_hash=content_hash or world.snapshot.units[name].content_hash,
        placement_revision=1_000,
        since=since,
        image=image,
    )
    world.commit([Put(key=keys.state(state.machine, name), value=mapper.state_value(state))])


UNITS = {
    "felix@1.service": (IMAGE, OLD),
    "felix@10.service": (IMAGE, OLD),
    "felix@2.service": (IMAGE, OLD),
    "celix@1.service": (IMAGE.replace("felix", "celix"), OLD),
    "other.service": (IMAGE, NEW),
    "unknown.service": (IMAGE, ""),
    "pinned.service": (IMAGE.replace(":latest", f"@{OLD}"), ""),
    "plain.service": ("", ""),
}


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ((), "celix@1 felix@1 felix@2 felix@10 other unknown"),
        (("felix-agent",), "felix@1 felix@2 felix@10 other unknown"),
        (("inaetics/celix-agent:latest",), "celix@1"),
        (("celix-agent:latest", "felix@2"), "celix@1 felix@2"),
        (("felix@.service",), "felix@1 felix@2 felix@10"),
        (("felix@",), "felix@1 felix@2 felix@10"),
        (("other.service", "felix@10.service"), "felix@10 other"),
    ],
)
def test_words_name_images_units_and_templates(asked: Sequence[str], meant: str) -> None:
    assert list(chosen(fleet_of(UNITS).snapshot, asked)) == [f"{name}.service" for name in meant.split()]


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("nobody", "images that units follow: inaetics/celix-agent:latest, inaetics/felix-agent:latest"),
        ("felix-agent:1.0", "no unit runs an image"),
        ("plain.service", "follows no tag"),
        ("pinned.service", "follows no tag"),
    ],
)
def test_a_word_that_names_nothing_says_what_there_is(word: str, says: str) -> None:
    with pytest.raises(NotFound, match=says):
        chosen(fleet_of(UNITS).snapshot, (word,))


def _draft(snapshot: Snapshot, means: Meanings, *asked: str) -> Rollout:
    return draft_images(snapshot, asked, means, rollout_id="r", at_once=1, by="", now=0.0)


def test_what_cannot_be_updated_is_skipped_with_the_reason() -> None:
    means: Meanings = {FELIX: Manifest(digest=NEW), CELIX: Unavailable("no registry answers")}
    made = _draft(fleet_of(UNITS).snapshot, means)
    assert [step.unit for step in made.steps] == ["felix@1.service", "felix@2.service", "felix@10.service"]
    assert dict(made.skipped) == {
        "celix@1.service": "no registry answers",
        "unknown.service": "it is not known yet which image it runs",
    }
    assert made.target == "inaetics/felix-agent:latest"


def test_nothing_to_do_is_said_and_a_silent_registry_is_not_nothing() -> None:
    snapshot = fleet_of(UNITS).snapshot
    with pytest.raises(Conflict, match="nothing to update: 1 of 1 run what their tags mean"):
        _draft(snapshot, {FELIX: Manifest(digest=NEW)}, "other")
    with pytest.raises(Unavailable, match="no registry answers"):
        _draft(snapshot, {CELIX: Unavailable("no registry answers")}, "celix-agent")


def test_a_machine_fetches_what_it_lacks_and_only_once() -> None:
    snapshot = fleet_of(UNITS).snapshot
    made = _draft(snapshot, {FELIX: Manifest(digest=NEW), CELIX: Manifest(digest=OLD)})
    layers = {OLD: {"base": 30, "old": 2}, NEW: {"base": 30, "new": 3, "more": 1}}
    found = [(each.unit, each.machine, each.size) for each in pulls(snapshot, made, layers)]
    assert found == [("felix@1.service", "w1", 0), ("felix@2.service", "w1", 0), ("felix@10.service", "w2", 4)], (
        "other.service brought it to w1 already"
    )
    assert [each.size for each in pulls(snapshot, made, {OLD: layers[OLD]})] == [None] * 3, "nobody knows"


def test_a_digest_is_learnt_from_a_machine_that_runs_the_content_and_only_once() -> None:
    world = fleet_of({"felix@1.service": (IMAGE, ""), "plain.service": ("", "")})
    name = UnitName("felix@1.service")
    assert learnt(world.snapshot, name) == ""
    _report(world, name, NEW)
    assert learnt(world.snapshot, name) == NEW
    _report(world, name, NEW, "content that was before")
    assert learnt(world.snapshot, name) == ""
    _report(world, name, NEW)
    world.submit(name, container(), image=OLD)
    assert learnt(world.snapshot, name) == "", "the record names one"
    assert digests_in_use(world.snapshot) == {OLD, NEW}


def test_a_global_unit_has_changed_only_where_each_machine_runs_it_anew() -> None:
    world, name = World(), UnitName("everywhere.service")
    for number in (1, 2):
        world.up(number)
    world.submit(name, container() + "Global=true\n", image=NEW)
    for number in (1, 2):
        _place(world, name, number)
        _report(world, name, NEW, number=number, since=float(number))
    unit, gate = world.snapshot.units[name], gate_of(container())

    def now(*earlier: float) -> Condition:
        return condition(world.snapshot, unit, content_hash=unit.content_hash, earlier=earlier, gate=gate)

    assert runs(world.snapshot, name) == (1.0, 2.0)
    assert now() == Well()
    assert now(1.0, 2.0) == OnTheWay(f"{machine_id(1)} still runs what it ran before")
    _report(world, name, NEW, number=1, since=5.0)
    assert now(1.0, 2.0) == OnTheWay(f"{machine_id(2)} still runs what it ran before"), (
        "an answer with the run before says nothing"
    )
    _report(world, name, NEW, number=2, since=6.0)
    assert now(1.0, 2.0) == Well()
