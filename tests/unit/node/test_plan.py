"""Plans of a switch: afterwards exactly what is wanted runs, and there is nothing left to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inaetics.bundles.archive import Archive
from inaetics.bundles.manifest import Manifest
from inaetics.errors import InvalidInput
from inaetics.node.plan import Plan, plan


def archive(name: str, version: str = "1.0", sha256: str = "0", requires: str = "", provides: str = "") -> Archive:
    manifest = Manifest(name=name, version=version, requires=tuple(requires.split()), provides=tuple(provides.split()))
    return Archive(path=Path(name), manifest=manifest, sha256=sha256, size=1)


def words(steps: Plan) -> tuple[str, str]:
    return tuple(" ".join(a.manifest.key for a in part) for part in (steps.start, steps.stop))  # type: ignore[return-value]


A, B, C = archive("a"), archive("b"), archive("c")
A2, A_OTHER = archive("a", "2.0"), archive("a", sha256="1")
B_OF_A = archive("b", requires="a")
NEEDY = archive("n", requires="storing")
STORE = archive("s", provides="storing")


@pytest.mark.parametrize(
    ("running", "wanted", "steps"),
    [
        pytest.param([], [B, A], ("b-1.0 a-1.0", ""), id="first: in the given order"),
        pytest.param([A, B], [A, B], ("", ""), id="the same: nothing"),
        pytest.param([A, B], [B, A], ("", ""), id="another order of the same: nothing"),
        pytest.param([A, B, C], [], ("", "c-1.0 b-1.0 a-1.0"), id="what goes stops the last first"),
        pytest.param([A, B], [A2, B], ("a-2.0", "a-1.0"), id="a new version beside the old one"),
        pytest.param([A2, B], [A, B], ("a-1.0", "a-2.0"), id="an older version is as good"),
        pytest.param([A], [A_OTHER], ("a-1.0", "a-1.0"), id="other content of a version is another bundle"),
        pytest.param([], [B_OF_A, A], ("a-1.0 b-1.0", ""), id="a required bundle starts first"),
        pytest.param([], [NEEDY, STORE], ("s-1.0 n-1.0", ""), id="so does the provider of a capability"),
        pytest.param([A], [B_OF_A, A], ("b-1.0", ""), id="what runs meets requirements"),
    ],
)
def test_steps(running: list[Archive], wanted: list[Archive], steps: tuple[str, str]) -> None:
    assert words(plan(running, wanted)) == steps


@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        pytest.param([NEEDY], "n-1.0 requires 'storing'", id="a requirement nobody meets"),
        pytest.param([A, A2], "two versions of bundle 'a'", id="two versions"),
        pytest.param([archive("a", requires="b"), B_OF_A], "circle: a → b → a", id="a circle"),
    ],
)
def test_what_cannot_run_together_is_refused(wanted: list[Archive], named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        plan([STORE], wanted)


NAMES = "abcdef"


@st.composite
def deployments(draw: st.DrawFn) -> list[Archive]:
    """Bundles that may require those before them in the alphabet, in any order."""
    made: list[Archive] = []
    for i, name in enumerate(NAMES):
        if draw(st.booleans()):
            earlier = [other.manifest.name for other in made]
            requires = draw(st.lists(st.sampled_from(earlier), unique=True)) if earlier else []
            content = f"{draw(st.integers(1, 2))} {requires}"
            made.append(archive(name, f"1.{i}", sha256=content, requires=" ".join(requires)))
    return draw(st.permutations(made))


def carried_out(running: list[Archive], steps: Plan) -> list[Archive]:
    return [each for each in running + list(steps.start) if each not in steps.stop]


@settings(deadline=None)
@given(before=deployments(), wanted=deployments())
def test_after_a_plan_there_is_nothing_left_to_do(before: list[Archive], wanted: list[Archive]) -> None:
    running = carried_out([], plan([], before))
    after = carried_out(running, plan(running, wanted))
    assert sorted(each.manifest.key for each in after) == sorted(each.manifest.key for each in wanted)
    assert plan(after, wanted).empty


@settings(deadline=None)
@given(before=deployments(), wanted=deployments())
def test_providers_run_before_those_that_require_them_start(before: list[Archive], wanted: list[Archive]) -> None:
    running = carried_out([], plan([], before))
    names = {each.manifest.name for each in running if each in wanted}
    for each in plan(running, wanted).start:
        assert set(each.manifest.requires) <= names
        names.add(each.manifest.name)


@settings(deadline=None)
@given(wanted=deployments(), data=st.data())
def test_order_of_the_deployment_changes_no_content(wanted: list[Archive], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(wanted))
    assert set(words(plan([], wanted))[0].split()) == set(words(plan([], shuffled))[0].split())
