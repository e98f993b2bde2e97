"""The desk: questions are held until their answer changes; what is refused, or cannot be had, changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from inaetics.bundles.exchange import Deployment, Report
from inaetics.bundles.records import Artifact, Entry, Held, Version
from inaetics.bundles.repository import Repository
from inaetics.bundles.resolve import resolve
from inaetics.errors import Unavailable
from inaetics.provisioning.desk import Contact, Desk
from inaetics.provisioning.overview import overview
from tests.support.eventually import eventually

ARTIFACTS = Repository.of(
    Artifact(name=name, version="1.0.0", sha256=digit * 64, size=1) for name, digit in (("a", "1"), ("b", "2"))
)
ALL = frozenset(artifact.sha256 for artifact in ARTIFACTS.all)


def version(number: int, install: str, **held: Held) -> Version:
    text = f'[[rules]]\ntarget = "*"\ninstall = ["{install}"]'
    return Version(version=number, text=text, by="anna", held=held)


@pytest.fixture
def recorded() -> list[tuple[str, Entry]]:
    return []


@pytest.fixture
def desk(recorded: list[tuple[str, Entry]]) -> Desk:
    made = Desk(record=lambda target, entry: recorded.append((target, entry)))
    made.staged(ALL, {})
    return made


def contact(target: str, *, running: str = "", error: str = "") -> Contact:
    return Contact(target=target, where="worker-1 127.17.8.101", running=running, error=error, at=0)


def names(deployment: Deployment | None) -> list[str]:
    assert deployment is not None
    return [bundle.name for bundle in deployment.bundles]


def held(desk: Desk, ask: Callable[[], Deployment | None], pool: ThreadPoolExecutor) -> Future[Deployment | None]:
    before = sum(each.held for each in desk.contacts)
    future = pool.submit(ask)
    eventually(lambda: sum(each.held for each in desk.contacts) > before, within_s=20, what="the question is held")
    return future


def test_question_is_answered_at_once_when_the_answer_is_another(desk: Desk) -> None:
    desk.use(version(1, "a"), ARTIFACTS)
    assert names(desk.ask(contact("x"), after="", wait_s=60)) == ["a"]


def test_held_question_is_answered_by_a_change(desk: Desk) -> None:
    desk.use(version(1, "a"), ARTIFACTS)
    has = desk.deployment("x").version
    with ThreadPoolExecutor() as pool:
        future = held(desk, lambda: desk.ask(contact("x", running=has), after=has, wait_s=60), pool)
        desk.use(version(2, "b"), ARTIFACTS)
        assert names(future.result(5)) == ["b"]


def test_a_version_that_gives_the_same_bundles_disturbs_nobody_who_runs_them(desk: Desk) -> None:
    desk.use(version(1, "a"), ARTIFACTS)
    has = desk.deployment("x").version
    desk.use(version(2, "a"), ARTIFACTS)
    assert desk.ask(contact("x", running=has), after=has, wait_s=0) is None


def test_who_could_not_start_its_bundles_tries_them_again_when_they_are_applied_again(desk: Desk) -> None:
    desk.use(version(1, "a"), ARTIFACTS)
    failed = desk.deployment("x").version
    assert desk.ask(contact("x", running="0-old", error="no"), after=failed, wait_s=0) is None
    desk.use(version(2, "a"), ARTIFACTS)
    assert names(desk.ask(contact("x", running="0-old", error="no"), after=failed, wait_s=0)) == ["a"]


def test_who_failed_is_told_to_go_back_to_what_it_runs(desk: Desk) -> None:
    desk.use(version(1, "a"), ARTIFACTS)
    runs = desk.deployment("x").version
    desk.use(version(2, "b"), ARTIFACTS)
    failed = desk.deployment("x").version
    desk.use(version(3, "a"), ARTIFACTS)
    assert names(desk.ask(contact("x", running=runs), after=failed, wait_s=0)) == ["a"]


def test_held_question_ends_without_a_change(desk: Desk) -> None:
    desk.use(version(1, "a"), ARTIFACTS)
    assert desk.ask(contact("x"), after=desk.deployment("x").version, wait_s=0.01) is None


def test_nothing_is_given_before_all_of_it_can_be(desk: Desk) -> None:
    desk.use(version(1, "a"), ARTIFACTS)
    has = desk.deployment("x").version
    desk.staged(frozenset({"1" * 64}), {})
    desk.use(version(2, "b"), ARTIFACTS)
    assert [artifact.name for artifact in desk.missing()] == ["b"]
    assert desk.ask(contact("x", running=has), after=has, wait_s=0) is None
    desk.staged(frozenset({"1" * 64}), {"2" * 64: "no registry answers"})
    with pytest.raises(Unavailable, match="no registry answers"):
        desk.ask(contact("new"), after="", wait_s=0)
    assert overview(desk, None)["troubles"] == ("no registry answers",)
    desk.staged(ALL, {})
    assert names(desk.ask(contact("x", running=has), after=has, wait_s=0)) == ["b"]


def test_a_target_that_is_held_keeps_what_it_was_held_at(desk: Desk) -> None:
    desk.use(version(2, "b", x=Held(version=1, bundles=("a@1.0.0",))), ARTIFACTS)
    assert names(desk.deployment("x")) == ["a"]
    assert names(desk.deployment("y")) == ["b"]


def test_an_archive_that_took_the_place_of_another_is_given_by_no_version_that_names_the_other(desk: Desk) -> None:
    first = resolve(version(1, "a"), ARTIFACTS)
    again = Artifact(name="a", version="1.0.0", sha256="3" * 64, size=1)
    old, b = ARTIFACTS.newest["a", "1.0.0"], ARTIFACTS.newest["b", "1.0.0"]
    desk.use(first, Repository.of([again, b], replaced=[old]))
    assert [bundle.sha256 for bundle in desk.deployment("x").bundles] == [old.sha256]
    assert overview(desk, None)["bundles"][0]["used"] is False, "the newest archive is nobody's"
    desk.use(first, Repository.of([again, b]))
    assert "is not kept any more" in desk.state.error
    assert names(desk.deployment("x")) == ["a"], "what was in force stays"


def test_refused_mapping_keeps_the_one_before_and_says_why(desk: Desk) -> None:
    desk.use(version(1, "a"), ARTIFACTS)
    desk.use(version(2, "<script>"), ARTIFACTS)
    assert names(desk.deployment("x")) == ["a"]
    assert desk.state.counter == 1
    assert "version 2: rule '*'" in desk.state.error
    desk.use(version(3, "b"), ARTIFACTS)
    assert desk.state.error == ""


def test_nothing_is_deployed_before_there_is_a_mapping(desk: Desk) -> None:
    with pytest.raises(Unavailable, match="no mapping"):
        desk.ask(contact("x"), after="", wait_s=0)
    desk.use(version(1, "nobody"), ARTIFACTS)
    with pytest.raises(Unavailable, match="version 1: "):
        desk.ask(contact("x"), after="", wait_s=0)
    assert desk.ask(contact("x"), after="1-abc", wait_s=0) is None, "who runs something goes on with it"


def test_closing_answers_whoever_waits(desk: Desk) -> None:
    desk.use(version(1, "a"), ARTIFACTS)
    has = desk.deployment("x").version
    with ThreadPoolExecutor() as pool:
        future = held(desk, lambda: desk.ask(contact("x"), after=has, wait_s=60), pool)
        desk.close()
        with pytest.raises(Unavailable, match="stopping"):
            future.result(5)


def test_what_was_given_and_what_came_of_it_is_recorded_with_who_asked_for_it(
    desk: Desk, recorded: list[tuple[str, Entry]]
) -> None:
    desk.use(version(4, "a"), ARTIFACTS)
    for _ in range(2):
        desk.ask(contact("x"), after="", wait_s=0)
    given = desk.deployment("x").version
    desk.report("x", Report(version=given, state="failed", error="no words"), where="worker-1")
    assert [(target, entry.event, entry.version, entry.by, entry.error) for target, entry in recorded] == [
        ("x", "given", given, "anna", ""),
        ("x", "failed", given, "anna", "no words"),
    ]
    assert recorded[0][1].bundles == ("a-1.0.0",)


def test_overview_shows_who_asked_and_what_went_wrong_there(desk: Desk) -> None:
    desk.use(version(1, "a"), ARTIFACTS)
    desk.ask(contact("felix@1", running="1-abc", error="cannot start b"), after="", wait_s=0)
    (shown,) = overview(desk, None)["targets"]
    assert (shown["target"], shown["running"], shown["state"]) == ("felix@1", "1-abc", "failed")
    assert (shown["where"], shown["error"]) == ("worker-1 127.17.8.101", "cannot start b")
    assert shown["there"] is False


def test_pages_learn_of_every_question(desk: Desk) -> None:
    desk.use(version(1, "a"), ARTIFACTS)
    before = desk.wait(-1, 0)
    with ThreadPoolExecutor() as pool:
        future = pool.submit(desk.wait, before, 30)
        desk.ask(contact("x"), after="", wait_s=0)
        assert future.result(5) > before
