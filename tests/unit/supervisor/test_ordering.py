"""Who needs whom and who waits for whom."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inaetics.supervisor.ordering import Ordering
from inaetics.units.service_model import ServiceSpec

NAMES = ["a", "b", "c", "d"]


def _of(*specs: ServiceSpec) -> Ordering:
    ordering = Ordering()
    for spec in specs:
        ordering.put(spec)
    return ordering


def _all(_name: str) -> bool:
    return True


def test_a_start_takes_along_what_is_required_wanted_and_bound_to_transitively() -> None:
    ordering = _of(
        ServiceSpec(name="a", requires=("b",), wants=("none",)),
        ServiceSpec(name="b", wants=("c",)),
        ServiceSpec(name="c", binds_to=("d",)),
        ServiceSpec(name="d"),
        ServiceSpec(name="e"),
    )
    assert sorted(ordering.needed_by("a")) == ["a", "b", "c", "d"]
    assert ordering.needed_by("e") == ["e"]


def test_a_stop_takes_along_who_requires_or_is_bound_but_not_who_wants() -> None:
    ordering = _of(
        ServiceSpec(name="a"),
        ServiceSpec(name="b", requires=("a",)),
        ServiceSpec(name="c", binds_to=("b",)),
        ServiceSpec(name="d", wants=("a",)),
    )
    assert sorted(ordering.stopped_with("a")) == ["a", "b", "c"]
    assert list(ordering.bound_to("b")) == ["c"]


def test_what_this_host_does_not_have_is_missing_only_when_it_is_required() -> None:
    ordering = _of(
        ServiceSpec(name="a", requires=("x",), wants=("y",), after=("z",), binds_to=("b",)), ServiceSpec(name="b")
    )
    assert ordering.missing("a") == ["x"]


@pytest.mark.parametrize(
    "specs",
    [
        pytest.param((ServiceSpec(name="a", after=("b",)), ServiceSpec(name="b")), id="After"),
        pytest.param((ServiceSpec(name="a"), ServiceSpec(name="b", before=("a",))), id="Before"),
    ],
)
def test_after_and_before_say_the_same(specs: tuple[ServiceSpec, ...]) -> None:
    ordering = _of(*specs)
    assert ordering.earlier("a", _all) == {"b"}
    assert ordering.later("b", _all) == {"a"}
    assert ordering.earlier("b", _all) == set()
    assert ordering.earlier("a", lambda name: name != "b") == set()


def test_in_a_circle_nobody_waits_and_those_outside_do() -> None:
    ordering = _of(
        ServiceSpec(name="a", after=("b",)),
        ServiceSpec(name="b", after=("c",)),
        ServiceSpec(name="c", after=("a",)),
        ServiceSpec(name="d", after=("a",)),
    )
    assert [ordering.earlier(name, _all) for name in "abc"] == [set(), set(), set()]
    assert ordering.earlier("d", _all) == {"a"}


def test_new_content_replaces_what_was_said_and_leaves_what_others_said() -> None:
    ordering = _of(ServiceSpec(name="a", after=("b", "c")), ServiceSpec(name="b", before=("a",)))
    ordering.put(ServiceSpec(name="a"))
    assert ordering.earlier("a", _all) == {"b"}
    ordering.drop("b")
    assert ordering.earlier("a", _all) == set()


_names = st.lists(st.sampled_from(NAMES), max_size=2).map(tuple)
_relations = ("requires", "wants", "binds_to", "after", "before")
_spec = st.builds(ServiceSpec, name=st.sampled_from(NAMES), **dict.fromkeys(_relations, _names))


@given(st.lists(_spec, max_size=6))
def test_there_is_always_somebody_who_need_not_wait(specs: list[ServiceSpec]) -> None:
    ordering = _of(*specs)
    pending = {spec.name for spec in specs}
    while pending:
        free = {name for name in pending if not ordering.earlier(name, pending.__contains__)}
        assert free, f"{pending} wait for each other"
        pending -= free


@given(st.lists(_spec, max_size=6))
def test_who_is_dropped_leaves_no_trace(specs: list[ServiceSpec]) -> None:
    ordering = _of(*specs)
    for name in NAMES:
        ordering.drop(name)
    for name in NAMES:
        assert ordering.earlier(name, _all) == ordering.later(name, _all) == set()
        assert ordering.stopped_with(name) == [name]
