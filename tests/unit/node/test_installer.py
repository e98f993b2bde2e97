"""A switch is one step: all of the new bundles run, or none of them and what ran before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pelix.framework import BundleContext

from inaetics.bundles.archive import Archive, open_archive
from inaetics.errors import InvalidInput
from inaetics.node.installer import Installer
from inaetics.node.loader import BundleLoader
from tests.support.bundles import packed

ACTIVATOR = """
    from pelix.constants import BundleActivator
    NAME = {name!r}

    @BundleActivator
    class Activator:
        def start(self, context):
            context.register_service("named", self, {{"name": NAME}})
            context.get_property("journal").append("+" + NAME)
            {start}
        def stop(self, context):
            context.get_property("journal").append("-" + NAME)
            {stop}
"""


@pytest.fixture
def journal(context: BundleContext) -> list[str]:
    """What started and stopped, in order."""
    entries: list[str] = []
    context.get_framework().add_property("journal", entries)
    return entries


def bundle(
    root: Path, name: str, version: str = "1.0.0", *, start: str = "pass", stop: str = "pass", requires: str = ""
) -> Archive:
    source = ACTIVATOR.format(name=f"{name}-{version}", start=start, stop=stop)
    return open_archive(packed(root, name, version, init=source, requires=requires))


def names(context: BundleContext) -> set[str]:
    references: list[Any] = context.get_all_service_references("named", None) or []
    return {reference.get_property("name") for reference in references}


def test_switch_starts_and_stops_in_order(context: BundleContext, journal: list[str], tmp_path: Path) -> None:
    installer = Installer(BundleLoader(context))
    a, b, c = (bundle(tmp_path, name) for name in "abc")
    installer.switch([a, b, c])
    installer.switch([bundle(tmp_path, "a", "1.1.0"), c])
    assert journal == ["+a-1.0.0", "+b-1.0.0", "+c-1.0.0", "+a-1.1.0", "-b-1.0.0", "-a-1.0.0"]
    assert names(context) == {"a-1.1.0", "c-1.0.0"}
    installer.stop_all()
    assert journal[-2:] == ["-a-1.1.0", "-c-1.0.0"]
    assert installer.running == ()


def test_bundle_that_does_not_start_takes_the_whole_switch_back(
    context: BundleContext, journal: list[str], tmp_path: Path
) -> None:
    installer = Installer(BundleLoader(context))
    before = [bundle(tmp_path, "a"), bundle(tmp_path, "b")]
    installer.switch(before)
    journal.clear()
    broken = bundle(tmp_path, "b", "1.1.0", start="raise OSError('disk full')")
    with pytest.raises(InvalidInput, match=r"cannot start bundle b-1\.1\.0: OSError: disk full"):
        installer.switch([bundle(tmp_path, "a", "1.1.0"), broken, bundle(tmp_path, "c")])
    assert names(context) == {"a-1.0.0", "b-1.0.0"}
    assert list(installer.running) == before
    assert journal == ["+a-1.1.0", "+b-1.1.0", "-a-1.1.0"]


def test_bundle_that_cannot_be_imported_lets_nothing_start(
    context: BundleContext, journal: list[str], tmp_path: Path
) -> None:
    installer = Installer(BundleLoader(context))
    broken = open_archive(packed(tmp_path, "z", init="import nowhere"))
    with pytest.raises(InvalidInput, match="No module named 'nowhere'"):
        installer.switch([bundle(tmp_path, "a"), broken])
    assert journal == []


def test_missing_requirement_touches_nothing(context: BundleContext, journal: list[str], tmp_path: Path) -> None:
    installer = Installer(BundleLoader(context))
    installer.switch([bundle(tmp_path, "a")])
    with pytest.raises(InvalidInput, match="requires 'storing'"):
        installer.switch([bundle(tmp_path, "b", requires="storing")])
    assert journal == ["+a-1.0.0"]


def test_bundle_that_fails_to_stop_does_not_hold_up_the_others(
    context: BundleContext, journal: list[str], tmp_path: Path
) -> None:
    installer = Installer(BundleLoader(context))
    installer.switch([bundle(tmp_path, "a"), bundle(tmp_path, "b", stop="raise OSError('stuck')")])
    installer.switch([])
    assert journal[-2:] == ["-b-1.0.0", "-a-1.0.0"]
    assert names(context) == set()
