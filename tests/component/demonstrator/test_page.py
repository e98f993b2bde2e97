"""The demonstrator's page in a browser, before a made-up demonstrator: every control is pressed."""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from inaetics.demonstrator.bundles.viewer import controls
from tests.support.browser import chromium, faultless, lent, within
from tests.support.eventually import eventually
from tests.support.made_up import TOKEN, World
from tests.support.readable import faint_texts, unmarked_stops
from tests.support.viewer import Stage

SCREENSHOTS = Path(__file__).parents[3] / "build" / "screenshots"
"""For people: the tests make them, and only eyes judge them."""

SCREENS: dict[str, tuple[int, int, Literal["light", "dark"]]] = {
    "light": (1400, 1000, "light"),
    "dark": (1400, 1000, "dark"),
    "phone": (360, 740, "light"),
    "phone-dark": (360, 740, "dark"),
    "tablet": (820, 1100, "light"),
    "wall": (2560, 1440, "dark"),
}

REFUSED = ("status of 401",)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Stage(World(agents=8)) as stage:
        yield stage


@contextmanager
def opened(browser: Browser, stage: Stage, **more: Any) -> Iterator[Page]:
    with lent(browser, **more) as page:
        page.goto(stage.url)
        expect(page.locator("#live")).to_have_attribute("data-state", "live")
        yield page


@contextmanager
def trusted(browser: Browser, stage: Stage) -> Iterator[Page]:
    """A page whose person gave the token before."""
    with opened(browser, stage) as page:
        page.evaluate("token => sessionStorage.setItem('inaetics-token', token)", TOKEN)
        yield page


def cost(world: World, us: float) -> None:
    for fake in world.fakes.values():
        fake.cost_us = us


def number(page: Page, selector: str) -> float:
    """The first figure that is shown there; not a number while there is none yet."""
    text = page.locator(selector).first.inner_text().replace(",", "")
    return float(text.split()[0]) if text[:1].isdigit() else math.nan


def test_everything_there_is_is_drawn(browser: Browser, stage: Stage) -> None:
    with opened(browser, stage) as page:
        for agent in stage.world.fakes:
            expect(page.locator(f".graph[data-agent='{agent}']").first).to_be_visible()
        expect(page.locator(".graph canvas").first).to_be_visible()
        expect(page.locator("#accounting")).to_have_attribute("data-holds", "yes")
        expect(page.locator("#accounting-sum")).to_contain_text("nothing is missing")
        for host in stage.world.hosts:
            expect(page.locator(f"[data-machine='{host}']")).to_be_visible()
        for fake in stage.world.fakes.values():
            expect(page.locator(f"[data-machine='{fake.host}'] [data-unit='{fake.unit}']")).to_have_count(1)
        before = number(page, "#stored")
        eventually(lambda: number(page, "#stored") > before, within_s=20, what="more is stored")
        expect(page.locator("#live-text")).to_have_text("live · 8 agents · 5 hosts")


def test_a_change_needs_the_token_and_looking_does_not(browser: Browser, stage: Stage) -> None:
    producer = stage.world.fakes["celix@1"]
    with opened(browser, stage, expected=REFUSED) as page:
        slider = page.get_by_role("slider", name="Load", exact=True)
        expect(slider).to_be_enabled()
        slider.fill("80")
        dialog = page.get_by_role("dialog", name="The cluster's token")
        dialog.get_by_label("Token").fill("wrong")
        dialog.get_by_role("button", name="Go on").click()
        expect(dialog).to_contain_text("not this cluster's")
        assert producer.percent == 40
        dialog.get_by_role("button", name="Cancel").click()
        expect(page.locator("#utilisation-text")).to_have_text("40 %")
        slider.fill("90")
        dialog.get_by_label("Token").fill(TOKEN)
        dialog.get_by_label("Token").press("Enter")
        expect(dialog).to_be_hidden()
        eventually(lambda: producer.percent == 90, within_s=30, what="the producer makes 90 %")
        expect(page.locator("#utilisation-text")).to_have_text("90 %")
        slider.fill("20")
        eventually(lambda: producer.percent == 20, within_s=30, what="no token is asked for again")
        assert TOKEN not in page.content()


def test_load_and_work_move_the_graphs(browser: Browser, stage: Stage) -> None:
    rate = ".graph[data-agent='celix@1'] .legend b"
    with trusted(browser, stage) as page:

        def drawn() -> float:
            """The figure beside the graph, which is drawn only while it is in view."""
            page.locator(rate).first.scroll_into_view_if_needed()
            return number(page, rate)

        page.get_by_role("slider", name="Load", exact=True).fill("0")
        eventually(lambda: drawn() < 10, within_s=20, what="the producer's graph falls to nothing")
        page.get_by_role("slider", name="Load", exact=True).fill("100")
        eventually(lambda: drawn() > 3000, within_s=20, what="it rises")
        page.get_by_role("slider", name="Work for each sample").fill("1000")
        eventually(lambda: stage.world.fakes["celix@2"].cost_us == 1000, within_s=30, what="processors work more")
        eventually(lambda: number(page, "#queued") > 1000, within_s=20, what="samples wait")
        expect(page.locator("#queue-meter")).not_to_have_attribute("aria-valuenow", "0")


def test_producers_in_bursts(browser: Browser, stage: Stage) -> None:
    with trusted(browser, stage) as page:
        switch = page.get_by_role("switch", name="In bursts")
        expect(switch).to_be_enabled()
        expect(switch).to_have_attribute("aria-checked", "false")
        switch.click()
        eventually(lambda: stage.moded["celix@1"].mode == "burst", within_s=30, what="the producer bursts")
        expect(switch).to_have_attribute("aria-checked", "true")
        expect(page.locator("#producer-note")).to_contain_text("in bursts")
        page.get_by_role("button", name="One more of the producers").click()
        eventually(lambda: stage.moded.get("producer@1") is not None, within_s=30, what="there is one more")
        eventually(lambda: stage.moded["producer@1"].mode == "burst", within_s=30, what="it is told what was set")
        switch.focus()
        page.keyboard.press("Space")
        eventually(lambda: stage.moded["celix@1"].mode == "periodic", within_s=30, what="evenly again")
        expect(page.locator("#producer-note")).not_to_contain_text("in bursts")


def test_what_agents_differ_in_can_be_set_again(browser: Browser, stage: Stage) -> None:
    stage.world.scale("producers", 2, token=TOKEN)
    stage.world.fakes["producer@1"].percent = 70
    with trusted(browser, stage) as page:
        slider = page.get_by_role("slider", name="Load", exact=True)
        expect(page.locator("#utilisation-text")).to_have_text("they differ")
        expect(slider).to_be_enabled()
        slider.fill("55")
        eventually(lambda: stage.world.fakes["producer@1"].percent == 55, within_s=30, what="both are set")
        expect(page.locator("#utilisation-text")).to_have_text("55 %")


def test_agents_more_and_less(browser: Browser, stage: Stage) -> None:
    with trusted(browser, stage) as page:
        more = page.get_by_role("button", name="One more of the processors")
        less = page.get_by_role("button", name="One of the producers less")
        expect(page.locator("#processors-count")).to_have_text("5")
        before = set(stage.world.fakes)
        more.click()
        expect(page.locator("#processors-count")).to_have_text("6")
        (new,) = set(stage.world.fakes) - before
        expect(page.locator(f".graph[data-agent='{new}']")).to_be_visible()
        expect(page.locator("#decisions li[data-by=person]").first).to_contain_text("5 → 6 processors: asked for")
        expect(page.get_by_role("switch", name="Scale by itself")).to_have_attribute("aria-checked", "false")
        expect(less).to_be_disabled()
        page.get_by_role("button", name="One more of the producers").click()
        expect(less).to_be_enabled()
        less.click()
        expect(page.locator("#producers-count")).to_have_text("1")
        page.get_by_role("button", name="One of the processors less").click()
        expect(page.locator("#processors-count")).to_have_text("5")


def test_how_many_there_are_by_a_slider(browser: Browser, stage: Stage) -> None:
    with trusted(browser, stage) as page:
        slider = page.get_by_role("slider", name="Producers")
        expect(slider).to_be_enabled()
        assert [slider.get_attribute(name) for name in ("min", "max")] == ["1", "4"]
        slider.fill("3")
        eventually(lambda: stage.world.wanted["producers"] == 3, within_s=30, what="three are wanted")
        expect(page.locator("#producers-count")).to_have_text("3")
        expect(page.locator(".graph[data-agent='producer@2']")).to_be_visible()
        slider.focus()
        page.keyboard.press("ArrowLeft")
        eventually(lambda: stage.world.wanted["producers"] == 2, within_s=30, what="an arrow is one agent")
        processors = page.get_by_role("slider", name="Processors")
        processors.focus()
        page.keyboard.press("ArrowRight")
        expect(page.locator("#processors-count")).to_have_text("6")
        eventually(lambda: stage.world.wanted["processors"] == 6, within_s=30, what="one more")
        stage.world.scale("processors", 8, token=TOKEN)
        expect(page.locator("#processors-count")).to_have_text("8")
        assert processors.input_value() == "8"


def test_it_scales_by_itself_and_says_why(browser: Browser, stage: Stage) -> None:
    with trusted(browser, stage) as page:
        switch = page.get_by_role("switch", name="Scale by itself")
        expect(switch).to_have_attribute("aria-checked", "true")
        switch.click()
        expect(switch).to_have_attribute("aria-checked", "false")
        switch.focus()
        page.keyboard.press("Space")
        expect(switch).to_have_attribute("aria-checked", "true")
        for fake in stage.world.fakes.values():
            fake.cost_us = 100_000
        stage.world.queued = 18_000
        stage.world.step(5)
        expect(page.locator("#decisions li[data-by=autoscaler]").first).to_contain_text("5 → 6 processors")


def test_a_worker_is_killed_and_started(browser: Browser, stage: Stage) -> None:
    world = stage.world
    victim = world.fakes["celix@1"].host
    with trusted(browser, stage) as page:
        kill = page.get_by_role("button", name=f"Kill {victim}", exact=True)
        kill.first.click()
        sure = page.get_by_role("dialog", name=f"Kill {victim}?")
        expect(sure).to_contain_text("as when its power is cut")
        sure.get_by_role("button", name="Cancel").click()
        assert not world.lost
        kill.first.click()
        sure.get_by_role("button", name=f"Kill {victim}").click()
        eventually(lambda: victim in world.lost, within_s=30, what="the worker is dead")
        world.step(6)
        expect(page.locator(f"[data-machine='{victim}']")).to_have_attribute("data-state", "lost")
        world.step(3)
        moved = page.locator(f"[data-unit='celix@1.service'].new:has-text('from {victim}')")
        expect(moved).to_be_visible()
        expect(page.locator("#events [data-kind=moved]").first).to_contain_text(" moved to worker-")
        told = page.locator("#events [data-kind=failover]:has-text('celix@1')").first
        expect(told).to_contain_text(f"from {victim}")
        step = r" → {} \+[\d,.]+ m?s"
        steps = "".join(step.format(name) for name in ("decided", "pulled", "started", "active"))
        expect(told.locator(".steps")).to_have_text(re.compile(f"^detected{steps}$"))
        page.get_by_role("button", name=f"Start {victim}").click()
        expect(page.locator(f"[data-machine='{victim}']")).to_have_attribute("data-state", "up")


def test_what_a_kill_would_lose_is_said_before(browser: Browser, stage: Stage) -> None:
    losing = {
        "felix@1": (r"The data store is on it.*does not follow", r"this address dies with it"),
        "felix@2": (r"The queue is on it: what it holds is lost \(\d[\d,]* samples now\)",),
    }
    with opened(browser, stage) as page:
        for agent, told in losing.items():
            host = stage.world.fakes[agent].host
            page.get_by_role("button", name=f"Kill {host}", exact=True).click()
            sure = page.get_by_role("dialog", name=f"Kill {host}?")
            for words in told:
                expect(sure.locator("#ask-warnings")).to_contain_text(re.compile(words))
            expect(sure.locator("#ask-warnings li")).to_have_count(len(told))
            sure.get_by_role("button", name="Cancel").click()
        harmless = next(
            host for host in stage.world.hosts if host not in {stage.world.fakes[agent].host for agent in losing}
        )
        page.get_by_role("button", name=f"Kill {harmless}", exact=True).click()
        expect(page.locator("#ask-text")).to_contain_text("will be started elsewhere")
        expect(page.locator("#ask-warnings")).to_be_hidden()


def test_where_a_unit_came_from_is_said_for_a_while_only(browser: Browser, stage: Stage) -> None:
    world = stage.world
    world.automatic = False
    with faultless(browser) as page:
        page.clock.install()
        page.goto(stage.url)
        expect(page.locator("#live")).to_have_attribute("data-state", "live")
        world.kill(world.fakes["celix@1"].host, token=TOKEN)
        world.step(6)
        world.step(4)
        moved = page.locator("[data-unit='celix@1.service'].new")
        expect(moved).to_be_visible()
        page.wait_for_timeout(1200)  # nothing is new in the cluster from here on
        page.clock.fast_forward(15_000)
        page.wait_for_timeout(1200)  # it hears of figures, and does not connect anew
        page.clock.fast_forward(6_000)
        expect(moved).to_have_count(0, timeout=5_000)
        expect(page.locator("[data-unit='celix@1.service']")).to_be_visible()


def test_what_takes_long_is_no_failure(browser: Browser, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    start = stage.world.start
    victim = stage.world.fakes["celix@1"].host

    def slowly(host: str, *, token: str) -> None:
        go_on.wait(60)
        start(host, token=token)

    monkeypatch.setattr(stage.world, "start", slowly)
    monkeypatch.setattr(controls, "KILL_WITHIN_S", 0.3)
    stage.world.kill(victim, token=TOKEN)
    stage.world.step(6)
    with trusted(browser, stage) as page:
        page.get_by_role("button", name=f"Start {victim}").click()
        expect(page.locator("#under-way")).to_contain_text(f"to start {victim} takes longer than usual")
        expect(page.get_by_role("alert")).to_be_hidden()
        go_on.set()
        expect(page.locator(f"[data-machine='{victim}']")).to_have_attribute("data-state", "up")


def test_what_was_refused_is_told_in_words(browser: Browser, stage: Stage) -> None:
    with opened(browser, stage, expected=("status of 40",)) as page:
        page.evaluate("token => sessionStorage.setItem('inaetics-token', token)", TOKEN)
        victim = stage.world.fakes["celix@1"].host
        page.get_by_role("button", name=f"Kill {victim}", exact=True).click()
        stage.world.kill(victim, token=TOKEN)  # somebody else was quicker
        page.get_by_role("dialog").get_by_role("button", name=f"Kill {victim}").click()
        expect(page.get_by_role("alert")).to_contain_text("dead already")


def test_a_sum_that_does_not_hold_is_red(browser: Browser) -> None:
    with Stage(World(agents=8, holds=False)) as stage, opened(browser, stage) as page:
        expect(page.locator("#accounting")).to_have_attribute("data-holds", "no")
        expect(page.locator("#accounting")).to_contain_text("137 samples are neither refused, held nor stored")
        red = page.evaluate("getComputedStyle(document.querySelector('#accounting')).borderTopColor")
        assert red == "rgb(192, 74, 0)"


def test_an_agent_that_hangs_is_late_and_the_others_go_on(browser: Browser) -> None:
    with Stage(World(agents=8)) as stage, opened(browser, stage) as page:
        expect(page.locator(".graph[data-agent='celix@3']")).to_be_visible()
        stage.world.fakes["celix@3"].hangs = stage.world.end
        expect(page.locator(".graph[data-agent='celix@3'] .badge")).to_be_visible()
        expect(page.locator("#live-text")).to_contain_text("1 late")
        before = number(page, "#stored")
        eventually(lambda: number(page, "#stored") > before, within_s=20, what="the others go on")


def test_a_page_that_lost_its_server_comes_back(browser: Browser) -> None:
    with faultless(browser, expected=("ERR_", "Failed to load")) as page:
        with Stage(World(agents=4)) as stage:
            page.goto(stage.url)
            expect(page.get_by_role("button", name="One more of the processors")).to_be_visible()
        expect(page.locator("#live")).to_have_attribute("data-state", "lost")
        expect(page.locator("#lost")).to_contain_text("“inaetics dashboard” opens an address that survives")
        page.get_by_role("button", name="One more of the processors").click()
        expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
        with Stage(World(agents=6), port=int(stage.url.rpartition(":")[2])):
            expect(page.locator("#live")).to_have_attribute("data-state", "live")
            expect(page.locator("#lost")).to_be_hidden()
            expect(page.locator(".graph[data-agent='celix@3']")).to_be_visible()
            expect(page.get_by_role("alert")).to_be_hidden()


def test_without_a_coordinator_nothing_can_be_scaled(browser: Browser) -> None:
    with Stage(World(agents=5), coordinator=False) as stage, opened(browser, stage) as page:
        expect(page.locator("#explanation")).to_contain_text("No coordinator runs")
        expect(page.get_by_role("switch", name="Scale by itself")).to_be_disabled()


def test_by_keyboard_alone(browser: Browser, stage: Stage) -> None:
    """Every control is reached in the order it is read, and what is redrawn keeps the focus."""
    with trusted(browser, stage) as page:
        expect(page.locator("#utilisation")).to_be_enabled()
        page.locator("#utilisation").focus()
        page.keyboard.press("ArrowRight")
        eventually(lambda: stage.world.fakes["celix@1"].percent == 41, within_s=30, what="an arrow is a percent")
        assert unmarked_stops(page, steps=12) == []
        page.locator("#utilisation").focus()
        reached = []
        for _ in range(16):
            page.keyboard.press("Tab")
            reached.append(
                page.evaluate("document.activeElement.getAttribute('aria-label') || document.activeElement.id")
            )
        wanted = ["cost", "One more of the producers", "One of the processors less", "One more of the processors"]
        assert [name for name in reached if name in wanted] == wanted
        assert "automatic" in reached
        assert any(str(name).startswith("Kill") for name in reached)
        page.locator("#machines button").nth(2).focus()
        name = page.evaluate("document.activeElement.getAttribute('aria-label')")
        stage.world.scale("processors", 7, token=TOKEN)
        expect(page.locator("#processors-count")).to_have_text("7")
        page.wait_for_timeout(700)  # the hosts are drawn again, at most twice a second
        assert page.evaluate("document.activeElement.getAttribute('aria-label')") == name


def test_what_moves_rests_for_who_asks_for_it(browser: Browser, stage: Stage) -> None:
    dots = "getComputedStyle(document.querySelector('.arrow[data-flows] .flow'), '::before').transform"
    with opened(browser, stage) as page:
        expect(page.locator(".arrow[data-flows]").first).to_be_visible()
        eventually(
            lambda: page.evaluate(dots) not in ("none", "matrix(1, 0, 0, 1, 0, 0)"), within_s=20, what="dots move"
        )
        page.emulate_media(reduced_motion="reduce")
        for _ in range(4):
            page.wait_for_timeout(500)
            assert page.evaluate(dots) == "none"
        assert page.evaluate("document.getAnimations().length") == 0


def test_a_page_that_nobody_sees_lets_go_of_its_stream(browser: Browser, stage: Stage) -> None:
    with faultless(browser) as page:
        page.clock.install()
        page.goto(stage.url)
        expect(page.locator("#live")).to_have_attribute("data-state", "live")
        streams = stage.viewer._streams
        turn = """hides => {
            Object.defineProperty(document, 'hidden', { get: () => hides, configurable: true });
            document.dispatchEvent(new Event('visibilitychange'));
        }"""
        page.evaluate(turn, True)
        page.clock.fast_forward(6_000)
        expect(page.locator("#live-text")).to_have_text("rests: nobody looks")
        eventually(lambda: streams.open == 0, within_s=20, what="its connection is free")
        page.evaluate(turn, False)
        expect(page.locator("#live")).to_have_attribute("data-state", "live")
        eventually(lambda: streams.open == 1, within_s=20, what="it follows again")


@pytest.mark.timeout(300)
def test_pictures(browser: Browser) -> None:
    """Nothing is wider than the screen or hard to read; the pictures are there to be looked at."""
    world = World(agents=8, start_ms=round(time.time() * 1000) - 95_000)
    victim = "worker-3"
    then: dict[float, Callable[[], None]] = {
        80: lambda: cost(world, 330),
        60: lambda: cost(world, 200),
        20: lambda: world.kill(victim, token=TOKEN),
    }
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with Stage(world) as stage, opened(browser, stage) as page:
        stage.has_lived(95, then)
        world.fakes["celix@3"].hangs = world.end
        page.reload()
        expect(page.locator(".graph canvas").first).to_be_attached()
        expect(page.locator(f"[data-machine='{victim}'] [data-went]").first).to_contain_text("→ worker-")
        expect(page.locator(".graph.late").first).to_be_visible()
        page.get_by_text("All agents as a table").click()
        for name, (width, height, scheme) in SCREENS.items():
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": height})
            page.wait_for_timeout(1200)  # two readings: everything is drawn anew
            within(page, width)
            assert faint_texts(page) == [], name
            page.screenshot(path=SCREENSHOTS / f"demonstrator-{name}.png", full_page=True)
