"""The Java agent as people run it: image built and pushed, bundle mapped, unit started, a graph of its own on the page.

Minutes, and a JDK fetched once: `make soak`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from inaetics import resources
from tests.support.browser import chromium, faultless
from tests.support.cluster import Cluster
from tests.support.eventually import eventually

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

RULE = """
[[rules]]
target = "java@*"
language = "java"
install = ["processor_java"]
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three workers with a producer, a queue and a datastore; what processes is what a test adds."""
    home = tmp_path_factory.mktemp("home")
    cluster = Cluster(name=f"java-{os.getpid()}", home=home, subnet=f"127.52.{1 + os.getpid() % 250}")
    try:
        cluster.run("inaetics", "up", "--workers", "3", "--subnet", cluster.subnet, timeout_s=300)
        cluster.run("inaetics", "image", "build", timeout_s=600)
        cluster.run("inaetics", "image", "push")
        cluster.run("inaetics_fleet_manager", "--start", "--celixAgents=1", "--felixAgents=2", timeout_s=400)
        yield cluster
    finally:
        cluster.run("inaetics", "destroy", timeout_s=120)


def test_a_java_processor_is_a_graph_of_its_own(small: Cluster, tmp_path: Path) -> None:
    small.run("inaetics", "image", "build", "felix-agent:java", timeout_s=600)
    small.run("inaetics", "image", "push", "felix-agent:java")
    small.run("inaetics", "bundle", "push", str(resources.java_directory() / "processor_java"))
    mapping = tmp_path / "mapping.toml"
    head, rules, tail = small.run("inaetics", "deploy", "show").partition("[[rules]]")
    mapping.write_text(f"{head}{RULE}\n{rules}{tail}")
    small.run("inaetics", "deploy", "apply", str(mapping))
    small.run("fleetctl", "submit", str(resources.units_directory() / "java@.container"))
    small.run("fleetctl", "start", "java@1.service")

    def series() -> dict[str, float]:
        """The last figures of java@1 on the page."""
        agents: dict[str, Any] = {each["agent"]: each["series"] for each in small.page("/statistics")["agents"]}
        return {each["name"]: each["points"][-1][1] for each in agents.get("java@1", ()) if each["points"]}

    eventually(lambda: series().get("processed", 0) > 0, within_s=120, what="java@1 processes samples")
    stored = eventually(lambda: small.page("/systemStats")["stored"], within_s=60, what="they are stored")
    eventually(lambda: small.page("/systemStats")["stored"] > stored, within_s=60, what="more and more of them")
    assert small.page("/systemStats")["accounting"]["holds"]

    log = small.run("fleetctl", "journal", "java@1.service", "--lines", "500")
    assert '"event": "started"' in log
    assert '"level": "warning"' not in log, log  # of a runtime that lacks a module or a package, for example
    with chromium() as browser, faultless(browser) as page:
        page.goto(small.status()["web"])
        graph = page.locator('.graph[data-agent="java@1"]')
        expect(graph).to_be_visible(timeout=60_000)
        canvas = graph.locator("canvas").first
        canvas.scroll_into_view_if_needed()
        picture = canvas.evaluate("canvas => canvas.toDataURL()")
        eventually(lambda: canvas.evaluate("canvas => canvas.toDataURL()") != picture, within_s=30, what="it moves")

    image = json.loads(small.run("inaetics", "image", "inspect", "felix-agent:java", "--output", "json"))
    assert sum(layer["size"] for layer in image["layers"]) < 40_000_000
