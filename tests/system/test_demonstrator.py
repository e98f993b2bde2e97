"""The whole path, as a person walks it: demo, page, scaling, a killed worker, halt and up."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import chromium, faultless
from tests.support.cluster import Cluster
from tests.support.eventually import eventually
from tests.support.judged_run import Run, faults, judged, load, note_death, run_dry, steady, watching
from tests.support.tutorial import follow, steps

pytestmark = pytest.mark.timeout(300)

TWO_AND_TWO = {"celix@1.service", "celix@2.service", "felix@1.service", "felix@2.service", "provisioning.service"}
FOUR_AND_FOUR = TWO_AND_TWO | {f"{kind}@{n}.service" for kind in ("celix", "felix") for n in (3, 4)}


def _active(cluster: Cluster, names: set[str]) -> dict[str, str | None]:
    where = cluster.where()
    assert set(where) == names, f"active: {sorted(where)}"
    return where


def _stored(cluster: Cluster) -> float:
    return float(cluster.page("/systemStats")["stored"])


def _flows(cluster: Cluster) -> None:
    """Samples are stored now, not only some time ago."""
    before = eventually(lambda: _stored(cluster), within_s=40, what="the page tells of stored samples")
    eventually(lambda: _stored(cluster) != before, within_s=40, what=f"more than {before} samples are stored")


@contextmanager
def _trusted(cluster: Cluster) -> Iterator[Page]:
    """The page, opened by a person who gave the token before."""
    web = eventually(lambda: cluster.status()["web"], within_s=30, what="status names the page")
    with chromium() as browser, faultless(browser) as page:
        page.goto(web)
        page.evaluate(
            "token => sessionStorage.setItem('inaetics-token', token)", cluster.run("inaetics", "token").strip()
        )
        expect(page.locator("#live")).to_have_attribute("data-state", "live")
        yield page


def test_demo_ends_with_machines_units_and_the_page(cluster: Cluster) -> None:
    status = cluster.status()
    assert [host["state"] for host in status["hosts"]] == ["running"] * 6
    assert set(_active(cluster, TWO_AND_TWO).values()) <= {f"worker-{n}" for n in range(1, 6)}
    assert status["web"] in cluster.demo
    for name in ("worker-5", "felix@1.service"):
        assert name in cluster.demo
    assert cluster.scaling["automatic"], "it scales itself until somebody names a number"
    _flows(cluster)


def test_a_second_demo_finds_everything_and_changes_nothing(cluster: Cluster) -> None:
    before = cluster.where()
    assert cluster.status()["web"] in cluster.run("inaetics", "demo", "--subnet", cluster.subnet)
    assert cluster.where() == before


def test_the_page_shows_graphs_that_move_and_its_controls_reach_the_fleet(cluster: Cluster) -> None:
    web = eventually(lambda: cluster.status()["web"], within_s=30, what="status names the page")
    with chromium() as browser, faultless(browser, expected=("status of 401",)) as page:
        page.goto(web)
        expect(page.locator("#live")).to_have_attribute("data-state", "live")
        expect(page.locator("#machines article[data-state=up]")).to_have_count(5, timeout=60_000)
        expect(page.locator("#accounting")).to_have_attribute("data-holds", "yes", timeout=60_000)
        agents = {"celix@1", "celix@2", "felix@1", "felix@2"}

        def shown() -> bool:
            return {graph.get_attribute("data-agent") for graph in page.query_selector_all(".graph")} == agents

        eventually(shown, within_s=60, what="every agent has a graph")
        canvas = page.locator('.graph[data-agent="celix@2"] canvas')
        canvas.scroll_into_view_if_needed()
        picture = canvas.evaluate("canvas => canvas.toDataURL()")
        eventually(
            lambda: canvas.evaluate("canvas => canvas.toDataURL()") != picture, within_s=20, what="the graph moves"
        )
        page.get_by_text("All agents as a table").click()
        expect(page.locator("#agents tr", has_text="worker-")).to_have_count(4)
        expect(page.locator("#agents tr")).to_have_count(4)

        page.get_by_role("button", name="One more of the processors").click()
        dialog = page.get_by_role("dialog", name="The cluster's token")
        dialog.get_by_label("Token").fill(cluster.run("inaetics", "token").strip())
        dialog.get_by_role("button", name="Go on").click()
        expect(page.locator("#processors-count")).to_have_text("2")
        (new,) = eventually(lambda: set(cluster.where()) - TWO_AND_TWO, within_s=60, what="one more runs")
        expect(page.locator(f".graph[data-agent='{new.removesuffix('.service')}']")).to_be_attached(timeout=60_000)
        page.get_by_role("button", name="One of the processors less").click()
        eventually(lambda: _active(cluster, TWO_AND_TWO), within_s=60, what="it is gone again")


def test_scaling_to_four_and_four(cluster: Cluster) -> None:
    cluster.run("inaetics_fleet_manager", "--start", "--celixAgents=4", "--felixAgents=4")
    where = eventually(lambda: _active(cluster, FOUR_AND_FOUR), within_s=90, what="nine units are active")
    assert len(set(where.values())) == 5
    agents = {unit.removesuffix(".service") for unit in FOUR_AND_FOUR} - {"provisioning"}
    eventually(
        lambda: {agent["agent"] for agent in cluster.page("/statistics")["agents"]} == agents,
        within_s=60,
        what="eight agents have a graph",
    )
    manager = cluster.run("inaetics_fleet_manager", "--status")
    for unit, host in where.items():
        assert re.search(rf"{re.escape(unit)}.*{host}", manager), manager


def test_a_worker_killed_on_the_page_under_load_loses_and_doubles_nothing(cluster: Cluster) -> None:
    """Neither queue nor datastore is on it: what it had taken is delivered again. Seen all the time, and judged."""
    steady(cluster, 4)
    where = eventually(lambda: _active(cluster, FOUR_AND_FOUR), within_s=90, what="nine units are active")
    lost, waiting, moving = _victim(where)
    load(cluster, 60)
    with watching(cluster) as watched, _trusted(cluster) as page:
        run = Run(watched)
        note_death(cluster, run, lost)
        page.get_by_role("button", name=f"Kill {lost}", exact=True).click()
        page.get_by_role("dialog", name=f"Kill {lost}?").get_by_role("button", name=f"Kill {lost}").click()
        machine = page.locator(f"[data-machine={lost}]")
        expect(machine).to_have_attribute("data-state", "lost")
        told = page.locator(f"#events [data-kind=failover]:has-text('{moving}')").first
        expect(told).to_contain_text(f"from {lost}", timeout=60_000)
        expect(told.locator(".steps")).to_have_text(re.compile(r"^detected → decided \+\d.* → active \+[\d.]+ m?s$"))
        unit = eventually(lambda: _waits(cluster, f"{waiting}.service"), within_s=30, what="the other one waits")
        assert unit["active"] != "active"
        page.get_by_role("button", name=f"Start {lost}", exact=True).click()
        expect(machine).to_have_attribute("data-state", "up", timeout=60_000)
        eventually(lambda: _active(cluster, FOUR_AND_FOUR), within_s=90, what="all nine are active again")
        run_dry(cluster)
        expect(page.locator("#accounting")).to_have_attribute("data-holds", "yes")
        run.verdict, run.guilty = judged(cluster)
    load(cluster, 10)
    assert not faults(run, met={"processor"}), run.told()


def _waits(cluster: Cluster, name: str) -> dict[str, Any]:
    unit = cluster.units()[name]
    assert unit["reason"], unit
    return dict(unit)


def _victim(where: dict[str, str | None]) -> tuple[str, str, str]:
    """A worker and two agents on it that produce or process: the felix fits nowhere else then, the celix does."""
    on = {host: agent for agent in ("felix@3", "felix@4") if (host := where[f"{agent}.service"])}
    agent = next(f"celix@{n}" for n in range(1, 5) if where[f"celix@{n}.service"] in on)  # the producer before others
    host = where[f"{agent}.service"]
    assert host is not None
    return host, on[host], agent


def test_scaling_back_to_two_and_two(cluster: Cluster) -> None:
    cluster.run("inaetics_fleet_manager", "--start", "--celixAgents=2", "--felixAgents=2")
    eventually(lambda: _active(cluster, TWO_AND_TWO), within_s=60, what="five units are left")
    _flows(cluster)


def test_the_units_of_the_worker_with_the_page_come_back_elsewhere(cluster: Cluster) -> None:
    where = eventually(lambda: _active(cluster, TWO_AND_TWO), within_s=60, what="five units are active")
    lost = where["felix@1.service"]
    assert lost is not None
    cluster.run("inaetics", "kill", lost)

    def elsewhere() -> bool:
        now = _active(cluster, TWO_AND_TWO)
        assert lost not in now.values()
        return True

    eventually(elsewhere, within_s=60, what=f"everything of {lost} is active elsewhere")
    _flows(cluster)
    cluster.run("inaetics", "up", lost)
    assert {host["name"]: host["state"] for host in cluster.status()["hosts"]}[lost] == "running"


def test_halt_and_up_bring_everything_back_where_it_was(cluster: Cluster) -> None:
    before = eventually(lambda: _active(cluster, TWO_AND_TWO), within_s=60, what="five units are active")
    cluster.run("inaetics", "halt")
    assert {host["state"] for host in cluster.status()["hosts"]} == {"halted"}
    cluster.run("inaetics", "up")
    assert eventually(lambda: _active(cluster, TWO_AND_TWO), within_s=60, what="five units are active") == before
    _flows(cluster)


def test_an_image_built_by_hand_is_taken_by_an_update_and_by_nothing_else(cluster: Cluster) -> None:
    registry = f"{cluster.subnet}.2:5000"
    script = (
        f"printf 'FROM {registry}/inaetics/celix-agent:latest\\nENV INAETICS_MARK=by-hand\\n' > Containerfile &&"
        f" podman build -q -t {registry}/inaetics/celix-agent:latest . && podman push -q"
        f" {registry}/inaetics/celix-agent:latest"
    )

    def environment() -> str:
        host = eventually(lambda: cluster.where().get("celix@2.service"), within_s=60, what="celix@2 is active")
        assert host is not None
        return cluster.run("inaetics", "ssh", host, "--", "podman", "exec", "celix-2", "env")

    cluster.run("inaetics", "ssh", "bootstrap", "--", "sh", "-c", f"cd $(mktemp -d) && {script}")
    cluster.run("fleetctl", "stop", "celix@2.service")
    cluster.run("fleetctl", "start", "celix@2.service")
    assert "INAETICS_MARK" not in environment()
    cluster.run("inaetics", "image", "update", "celix@2.service", timeout_s=120)
    assert "INAETICS_MARK=by-hand" in environment()


def test_the_tutorial_of_a_first_application_is_right_word_for_word(cluster: Cluster, tmp_path: Path) -> None:
    tutorial = Path(__file__).parents[2] / "docs" / "tutorial" / "first-application.md"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    follow(steps(tutorial.read_text()), tmp_path, {**cluster.environment, "PATH": path})
    eventually(lambda: _active(cluster, TWO_AND_TWO), within_s=60, what="five units are left")
