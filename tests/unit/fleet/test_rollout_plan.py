"""Rollouts over random fates, leaders killed at any step, and people who interfere; judged at every write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inaetics.errors import Conflict, InvalidInput, NotFound
from inaetics.fleet import keys, mapper, rollout_record
from inaetics.fleet.garbage import collections
from inaetics.fleet.model import Desired, MachineId, UnitName
from inaetics.fleet.rollout import Phase, Progress, Rollout, Step
from inaetics.fleet.rollout_draft import draft
from inaetics.fleet.rollout_health import gate_of
from inaetics.fleet.rollout_plan import Advance, instances
from inaetics.fleet.rollout_standing import Standing
from inaetics.store.protocol import KeyValue, Put
from tests.unit.fleet.rollout_trial import (
    AFTER_S,
    NEW,
    NEW_HASH,
    OLD,
    OLD_HASH,
    TEMPLATE,
    Trial,
    content,
    fates,
    is_good,
    state_of,
)
from tests.unit.fleet.world import machine_id


@settings(max_examples=60, deadline=None)
@given(
    some=st.lists(
        st.tuples(fates, st.sampled_from((Desired.LAUNCHED,) * 3 + (Desired.LOADED,))), min_size=1, max_size=6
    ),
    at_once=st.integers(1, 3),
    kills=st.sets(st.integers(0, 80), max_size=6),
)
def test_it_ends_with_all_or_nothing_whoever_leads(
    some: Sequence[tuple[str, Desired]], at_once: int, kills: set[int]
) -> None:
    trial = Trial.of(some, at_once=at_once)
    trial.begin()
    end = trial.to_the_end_under(kills)
    good = is_good(some)
    assert end.phase is (Phase.DONE if good else Phase.UNDONE)
    wanted = NEW_HASH if good else OLD_HASH
    assert trial.hashes() == {wanted}
    assert trial.world.snapshot.units[TEMPLATE].content_hash == wanted


@settings(max_examples=40, deadline=None)
@given(deed=st.sampled_from(("destroy", "replace")), whom=st.integers(1, 4), when=st.integers(0, 40), bad=st.booleans())
def test_what_somebody_else_does_is_never_overwritten(deed: str, whom: int, when: int, bad: bool) -> None:
    trial = Trial(4, fates={"a@4.service": "fails"} if bad else {})
    trial.begin()
    name, theirs = UnitName(f"a@{whom}.service"), content("theirs")
    at_the_deed: list[Progress] = []

    def between(turn: int) -> None:
        if turn == when and trial.rollout.runs:
            at_the_deed.extend(step.progress for step in trial.rollout.steps if step.unit == name)
            if deed == "destroy":
                trial.world.destroy(name)
            else:
                trial.world.submit(name, theirs)

    end = trial.to_the_end(between)
    assert not end.runs
    unit = trial.world.snapshot.units.get(name)
    did = unit is None or unit.content_hash == mapper.content_hash(theirs)
    if did and end.phase is Phase.STOPPED:
        assert name in end.reason
    elif did:
        assert end.phase is Phase.UNDONE, "they came while it was on its way back, or at its end"
        [step] = [step for step in end.steps if step.unit == name]
        settled = at_the_deed[0] in (Progress.WAITING, Progress.RESTORED)
        assert settled or "somebody" in step.message


def test_instances_go_in_order_and_come_back_the_last_first() -> None:
    trial = Trial(4, fates={"a@3.service": "fails"})
    trial.begin()
    order: list[tuple[str, str]] = []
    write = trial.write

    def noting(todo: Advance) -> bool:
        order.extend((each.unit.name[2], "new" if each.content_hash == NEW_HASH else "old") for each in todo.writes)
        return write(todo)

    trial.write = noting  # type: ignore[method-assign]
    end = trial.to_the_end()
    assert order == [("1", "new"), ("2", "new"), ("3", "new"), ("3", "old"), ("2", "old"), ("1", "old")]
    assert "a@3.service is not well on the new content" in end.reason
    assert "status 1" in end.reason
    assert [step.progress for step in end.steps] == [Progress.RESTORED] * 3 + [Progress.WAITING]


def test_a_cancelled_rollout_is_undone() -> None:
    trial = Trial(3)
    trial.begin()

    def between(turn: int) -> None:
        if trial.hashes() == {OLD_HASH, NEW_HASH} and not trial.rollout.cancelled_by and trial.rollout.runs:
            cancelled = replace(trial.rollout, cancelled_by="somebody")
            trial.world.commit([Put(key=keys.rollout("r"), value=rollout_record.value(cancelled))])

    end = trial.to_the_end(between)
    assert (end.phase, end.reason) == (Phase.UNDONE, "cancelled by somebody")
    assert trial.hashes() == {OLD_HASH}


def test_a_unit_that_waits_is_skipped_and_told() -> None:
    trial = Trial(2)
    for machine in (1, 2, 3):
        trial.world.operate(machine, cordoned=True)
    trial.world.submit("a@3.service", OLD)
    trial.count = 3
    trial.turn()
    trial.begin()
    end = trial.to_the_end()
    assert end.phase is Phase.DONE
    assert end.steps[2].progress is Progress.SKIPPED
    assert "waits for a machine" in end.steps[2].message
    assert trial.world.snapshot.units[UnitName("a@3.service")].content_hash == OLD_HASH


def test_new_content_that_fits_nowhere_is_undone_and_takes_nothing_away() -> None:
    trial = Trial(2)
    new = content("new", "MachineMetadata=gpu=yes")
    trial.world.commit([Put(key=keys.file(mapper.content_hash(new)), value=mapper.file_value(new))])
    made = draft(
        trial.world.snapshot, TEMPLATE, mapper.content_hash(new), rollout_id="r", at_once=1, by="", now=trial.now
    )
    trial.world.commit([Put(key=keys.rollout("r"), value=rollout_record.value(made))])
    end = trial.to_the_end()
    assert end.phase is Phase.UNDONE
    assert "fits on no machine" in end.reason
    assert all(state.content_hash == OLD_HASH for state in trial.world.snapshot.states.values())


def test_an_instance_made_of_the_old_content_meanwhile_is_taken_too() -> None:
    trial = Trial(1)
    trial.begin()

    def between(turn: int) -> None:
        if turn == 3:
            trial.world.submit("a@2.service", OLD)

    assert trial.to_the_end(between).phase is Phase.DONE
    assert trial.world.snapshot.units[UnitName("a@2.service")].content_hash == NEW_HASH


def test_a_template_takes_the_instances_with_its_old_content_and_says_which_not() -> None:
    trial = Trial(3)
    trial.world.submit("a@2.service", content("own"))
    trial.world.submit("a@3.service", NEW)
    made = draft(trial.world.snapshot, TEMPLATE, NEW_HASH, rollout_id="r", at_once=1, by="", now=0.0)
    assert [step.unit for step in made.steps] == ["a@1.service"]
    own = mapper.content_hash(content("own"))[:7]
    assert dict(made.skipped) == {
        "a@2.service": f"has content of its own ({own})",
        "a@3.service": "has the new content already",
    }


def test_a_second_rollout_is_refused_with_the_way_to_the_first() -> None:
    trial = Trial(2)
    trial.begin()
    for target in (TEMPLATE, UnitName("a@1.service")):
        with pytest.raises(Conflict, match="update --cancel r"):
            draft(trial.world.snapshot, target, "other", rollout_id="s", at_once=1, by="", now=0.0)
    trial.to_the_end()
    draft(trial.world.snapshot, TEMPLATE, OLD_HASH, rollout_id="s", at_once=1, by="", now=0.0)


def test_nothing_to_do_and_nobody_there_are_told() -> None:
    trial = Trial(1)
    with pytest.raises(Conflict, match="nothing to update"):
        draft(trial.world.snapshot, UnitName("a@1.service"), OLD_HASH, rollout_id="r", at_once=1, by="", now=0.0)
    with pytest.raises(NotFound, match="not submitted"):
        draft(trial.world.snapshot, UnitName("b.service"), OLD_HASH, rollout_id="r", at_once=1, by="", now=0.0)


def test_the_files_of_a_rollout_are_kept() -> None:
    trial = Trial(2)
    trial.begin()
    trial.to_the_end()
    assert OLD_HASH in trial.world.snapshot.files
    assert list(collections(trial.world.snapshot)) == []


def test_a_gate_is_what_the_file_asks() -> None:
    assert gate_of(NEW).after_s == AFTER_S
    assert gate_of(NEW).within_s == 3 + 1 + AFTER_S + 15
    assert gate_of("[Service]\nType=oneshot\nExecStart=/bin/true\n").oneshot
    assert gate_of("[X-Fleet]\nHealthyAfterSec=nonsense\n").after_s == 5


def test_a_rollout_comes_back_from_the_store_as_it_was() -> None:
    trial = Trial(2)
    trial.begin()
    step = Step(unit=UnitName("a@1.service"), progress=Progress.FAILED, at=1.5, message="m", earlier=(2.5, 3.5))
    whole = replace(trial.rollout, steps=(step,), phase=Phase.UNDOING, reason="r", cancelled_by="c")
    trial.world.commit([Put(key=keys.rollout("r"), value=rollout_record.value(whole))])
    assert trial.rollout == replace(whole, revision=trial.world.revision)


@given(
    steps=st.lists(
        st.builds(
            Step,
            unit=st.text("ab@1.", max_size=4).map(UnitName),
            progress=st.sampled_from(Progress),
            at=st.floats(0, 2e9),
            message=st.text(max_size=3),
            earlier=st.lists(st.floats(0, 2e9), max_size=2).map(tuple),
            old_image=st.sampled_from(("", "sha256:a", "sha256:b")),
            new_image=st.sampled_from((None, "", "sha256:b")),
            content_hash=st.sampled_from(("", "c", "d")),
        ),
        max_size=5,
    )
)
def test_whatever_steps_share_each_comes_back_with_its_own(steps: list[Step]) -> None:
    whole = Rollout(id="r", target=TEMPLATE, old_hash="", new_hash="", at_once=1, by="", started_at=1, steps=(*steps,))
    item = KeyValue(key="k", value=rollout_record.value(whole), create_revision=1, mod_revision=7)
    assert rollout_record.rollout(item) == replace(whole, revision=7)


def test_a_record_of_another_version_is_read_and_a_broken_one_named() -> None:
    old = {"version": 1, "id": "r", "target": "a", "old_hash": "o", "new_hash": "n", "at_once": 1, "by": ""}
    steps = [{"unit": "a@1.service", "progress": "done", "at": 1.0, "before": 2.0}]

    def read(record: object) -> Rollout:
        value = msgspec.json.encode(record)
        return rollout_record.rollout(KeyValue(key="k", value=value, create_revision=1, mod_revision=7))

    made = read({**old, "started_at": 1.0, "steps": steps, "later": "unknown"})
    assert made.steps == (Step(unit=UnitName("a@1.service"), progress=Progress.DONE, at=1.0),)
    begun = {**old, "started_at": 1.0}
    several: list[object] = [old, [], {**begun, "steps": [1]}, {**begun, "steps": [{}]}, {**begun, "common": 1}]
    for broken in several:
        with pytest.raises(InvalidInput, match="cannot read k in the store"):
            read(broken)


def test_instances_are_in_their_natural_order() -> None:
    trial = Trial(11)
    assert instances(trial.world.snapshot, TEMPLATE) == trial.names
    assert machine_id(1) == MachineId("0" * 31 + "1")


def test_the_run_before_is_no_restart_and_a_second_one_is() -> None:
    """A report that answers the new placement may still show the old run for a moment."""
    trial = Trial(1)
    name = trial.names[0]
    [placement] = trial.world.snapshot.placements.values()
    standing = Standing()

    def told(since: float) -> bool:
        state = state_of(placement, "well", 0.0, 10.0)
        value = mapper.state_value(replace(state, since=since))
        trial.world.commit([Put(key=keys.state(placement.machine, name), value=value)])
        trial.now += 1
        standing.look(trial.world.snapshot, [Step(unit=name, earlier=(5.0,))], trial.now)
        return standing.restarted(name)

    assert [told(5.0), told(6.0), told(6.0), told(7.0)] == [False, False, False, True]


def test_one_that_is_restarted_again_and_again_is_not_well() -> None:
    trial = Trial(2, fates={"a@2.service": "loops"})
    trial.begin()
    begun = trial.now
    end = trial.to_the_end()
    assert "did not stay active" in end.reason
    assert trial.now - begun < gate_of(NEW).within_s, "it was seen before the time-outs were over"
