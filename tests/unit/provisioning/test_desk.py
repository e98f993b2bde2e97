"""The desk: questions are held until their answer changes; a refused mapping changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from inaetics.bundles.exchange import Deployment
from inaetics.errors import Unavailable
from inaetics.provisioning.desk import Contact, Desk
from inaetics.provisioning.page import render
from inaetics.provisioning.repository import read_repository
from tests.support.bundles import packed
from tests.support.eventually import eventually

ONLY_A = '[[rules]]\ntarget = "*"\ninstall = ["a"]'
ONLY_B = '[[rules]]\ntarget = "*"\ninstall = ["b"]'


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    for name in ("a", "b"):
        packed(tmp_path, name)
    return Desk(read_repository(tmp_path / "archives"))


def contact(target: str, *, running: str = "", error: str = "") -> Contact:
    return Contact(target=target, where="worker-1 127.17.8.101", running=running, error=error, at=0)


def names(deployment: Deployment | None) -> list[str]:
    assert deployment is not None
    return [bundle.name for bundle in deployment.bundles]


def held(desk: Desk, ask: Callable[[], Deployment | None], pool: ThreadPoolExecutor) -> Future[Deployment | None]:
    before = sum(each.held for each in desk.contacts)
    future = pool.submit(ask)
    eventually(lambda: sum(each.held for each in desk.contacts) > before, within_s=5, what="the question is held")
    return future


def test_question_is_answered_at_once_when_the_answer_is_another(desk: Desk) -> None:
    desk.use(ONLY_A, source="test", counter=1)
    assert names(desk.ask(contact("x"), after="", wait_s=60)) == ["a"]


def test_held_question_is_answered_by_a_change(desk: Desk) -> None:
    desk.use(ONLY_A, source="test", counter=1)
    version = desk.deployment("x").version
    with ThreadPoolExecutor() as pool:
        future = held(desk, lambda: desk.ask(contact("x"), after=version, wait_s=60), pool)
        desk.use(ONLY_B, source="test", counter=2)
        assert names(future.result(5)) == ["b"]


def test_held_question_ends_without_a_change(desk: Desk) -> None:
    desk.use(ONLY_A, source="test", counter=1)
    assert desk.ask(contact("x"), after=desk.deployment("x").version, wait_s=0.01) is None


def test_refused_mapping_keeps_the_one_before_and_says_why(desk: Desk) -> None:
    desk.use(ONLY_A, source="good", counter=1)
    desk.use('[[rules]]\ntarget = "*"\ninstall = ["<script>"]', source="bad", counter=2)
    assert names(desk.deployment("x")) == ["a"]
    assert desk.state.counter == 1
    assert "bad: rule '*'" in desk.state.error
    assert "bad: rule &#x27;*&#x27;: no bundle or feature &#x27;&lt;script&gt;" in render(desk)
    desk.use(ONLY_B, source="good again", counter=3)
    assert desk.state.error == ""


def test_nothing_is_deployed_before_there_is_a_mapping(desk: Desk) -> None:
    with pytest.raises(Unavailable, match="no mapping"):
        desk.ask(contact("x"), after="", wait_s=0)
    desk.use("rules = 1", source="bad", counter=1)
    with pytest.raises(Unavailable, match="bad: "):
        desk.ask(contact("x"), after="", wait_s=0)


def test_closing_answers_whoever_waits(desk: Desk) -> None:
    desk.use(ONLY_A, source="test", counter=1)
    version = desk.deployment("x").version
    with ThreadPoolExecutor() as pool:
        future = held(desk, lambda: desk.ask(contact("x"), after=version, wait_s=60), pool)
        desk.close()
        with pytest.raises(Unavailable, match="stopping"):
            future.result(5)


def test_page_shows_who_asked_and_what_went_wrong_there(desk: Desk) -> None:
    desk.use(ONLY_A, source="test", counter=1)
    desk.ask(contact("felix@1", running="1-abc", error="cannot start <b>"), after="", wait_s=0)
    page = render(desk)
    assert "felix@1" in page
    assert "worker-1 127.17.8.101" in page
    assert "1-abc" in page
    assert "cannot start &lt;b&gt;" in page
    assert [(each.target, each.held) for each in desk.contacts] == [("felix@1", 0)]
