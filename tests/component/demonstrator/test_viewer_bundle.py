"""The viewer as an agent installs it: out of an archive."""

from __future__ import annotations

import json
from importlib.resources import as_file, files
from urllib.request import urlopen

import pytest

from inaetics.demonstrator.bundles.viewer.watch import SILENT_AFTER_S
from inaetics.node.testing import BundleFramework
from tests.support.events import Events
from tests.support.eventually import eventually


def test_page_and_events_come_out_of_the_archive_and_end_with_the_bundle() -> None:
    with BundleFramework(agent="felix@1") as framework, as_file(files("inaetics.demonstrator") / "bundles") as folder:
        framework.install(folder / "viewer", folder / "statistics")
        for path in ("/", "/theme.css", "/vendor/uPlot.iife.min.js"):
            with urlopen(framework.url + path, timeout=20) as answer:
                assert answer.read(), path
        with Events(framework.url) as page:
            hello = page.next("hello", lambda hello: hello["agents"])
            assert hello["agents"][0]["bundles"] == ["statistics 1.0.0", "viewer 1.0.0"]
            framework.uninstall("viewer")
            with pytest.raises(EOFError):
                page.next("never")
        assert framework.left == {}


def test_an_agent_that_was_there_before_the_page_has_its_name() -> None:
    with BundleFramework(agent="felix@1") as framework, as_file(files("inaetics.demonstrator") / "bundles") as folder:
        framework.install(folder / "statistics")
        framework.install(folder / "viewer")
        with Events(framework.url) as page:
            begin_ms = page.next("hello")["time_ms"]
            page.next("points", lambda points: points["time_ms"] > begin_ms + SILENT_AFTER_S * 1000 + 1000)

        def shown() -> list[tuple[str, bool]]:
            with urlopen(f"{framework.url}/clusterInfo", timeout=20) as answer:
                return [(agent["agent"], agent["late"]) for agent in json.load(answer)["agents"]]

        eventually(lambda: shown() == [("felix@1", False)], within_s=20, what="it has its name, and is not late")
