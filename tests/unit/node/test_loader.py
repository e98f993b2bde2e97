"""Versions of bundles side by side: services are handed over, failures leave the old version and nothing else."""

from __future__ import annotations

import sys
import zipimport
from pathlib import Path
from typing import Any

import pytest
from pelix.framework import BundleContext

from inaetics.bundles.archive import Archive, open_archive
from inaetics.errors import InvalidInput
from inaetics.node.loader import BundleLoader, Installed, package_name
from tests.support.bundles import packed

COMPONENT = """
    from pelix.ipopo.decorators import ComponentFactory, Instantiate, Provides
    from .words import WORD

    @ComponentFactory(f"{__name__}.greeter")
    @Provides("greeting")
    @Instantiate(f"{__name__}.greeter-1")
    class Greeter:
        def greet(self):
            return WORD
"""


def greeter(root: Path, version: str, word: str) -> Archive:
    return open_archive(
        packed(root, "greeter", version, entry="component", component=COMPONENT, words=f"WORD = {word!r}")
    )


def greetings(context: BundleContext) -> list[str]:
    references: list[Any] = context.get_all_service_references("greeting", None) or []
    found: list[Any] = [context.get_service(reference) for reference in references]
    return sorted(service.greet() for service in found)


def leftovers(archive: Archive) -> list[str]:
    name = package_name(archive)
    modules = [module for module in sys.modules if module.startswith(name)]
    paths = [path for path in sys.path_importer_cache if path.startswith(str(archive.path))]
    cache: dict[str, object] = zipimport._zip_directory_cache  # type: ignore[attr-defined]
    return modules + paths + [path for path in cache if path == str(archive.path)]


def started(loader: BundleLoader, archive: Archive) -> Installed:
    installed = loader.install(archive)
    loader.start(installed)
    return installed


def test_started_bundle_registers_its_services_and_leaves_no_trace(context: BundleContext, tmp_path: Path) -> None:
    loader = BundleLoader(context)
    archive = greeter(tmp_path, "1.0.0", "hello")
    installed = started(loader, archive)
    assert greetings(context) == ["hello"]
    assert leftovers(archive)
    loader.uninstall(installed)
    assert greetings(context) == []
    assert leftovers(archive) == []
    assert loader.installed == ()


def test_two_versions_run_side_by_side_each_with_its_own_code(context: BundleContext, tmp_path: Path) -> None:
    loader = BundleLoader(context)
    started(loader, greeter(tmp_path, "1.0.0", "hello"))
    started(loader, greeter(tmp_path, "1.1.0", "good day"))
    assert greetings(context) == ["good day", "hello"]


def test_same_version_with_other_content_is_another_bundle(context: BundleContext, tmp_path: Path) -> None:
    loader = BundleLoader(context)
    started(loader, greeter(tmp_path / "a", "1.0.0", "hello"))
    started(loader, greeter(tmp_path / "b", "1.0.0", "hello again"))
    assert greetings(context) == ["hello", "hello again"]


def test_installing_twice_is_installing_once(context: BundleContext, tmp_path: Path) -> None:
    loader = BundleLoader(context)
    archive = greeter(tmp_path, "1.0.0", "hello")
    assert started(loader, archive) == started(loader, archive)
    assert greetings(context) == ["hello"]


def test_upgrade_has_the_service_at_every_moment(context: BundleContext, tmp_path: Path) -> None:
    loader = BundleLoader(context)
    old = started(loader, greeter(tmp_path, "1.0.0", "hello"))
    seen: list[list[str]] = []

    class Watcher:
        def bundle_changed(self, event: object) -> None:
            seen.append(greetings(context))

    context.add_bundle_listener(Watcher())
    new = loader.upgrade(old, greeter(tmp_path, "1.1.0", "good day"))
    assert greetings(context) == ["good day"]
    assert seen
    assert all(seen)
    assert leftovers(old.archive) == []
    assert loader.installed == (new,)


def test_many_upgrades_leave_only_the_last(context: BundleContext, tmp_path: Path) -> None:
    loader = BundleLoader(context)
    installed = started(loader, greeter(tmp_path, "1.0.0", "0"))
    modules, bundles = len(sys.modules), len(context.get_bundles())
    for number in range(1, 30):
        installed = loader.upgrade(installed, greeter(tmp_path, f"1.{number}.0", str(number)))
    assert greetings(context) == ["29"]
    assert len(sys.modules) == modules
    assert len(context.get_bundles()) == bundles


FAILING_ACTIVATOR = """
    from pelix.constants import BundleActivator

    @BundleActivator
    class Activator:
        def start(self, context):
            context.register_service("greeting", self, {})
            raise ValueError("no port left")
        def stop(self, context):
            pass
"""
FAILING_COMPONENT = """
    from pelix.ipopo.decorators import ComponentFactory, Instantiate, Provides, Validate

    @ComponentFactory(f"{__name__}.greeter")
    @Provides("greeting")
    @Instantiate(f"{__name__}.greeter-1")
    class Greeter:
        @Validate
        def validate(self, context):
            raise ValueError("no port left")
"""


@pytest.mark.parametrize(
    ("source", "named"),
    [
        pytest.param("raise ValueError('no port left')", "ValueError: no port left", id="import raises"),
        pytest.param("import sys; sys.exit(3)", "SystemExit: 3", id="import exits"),
        pytest.param("from . import nowhere", "ImportError: cannot import name 'nowhere'", id="import misses"),
        pytest.param(FAILING_ACTIVATOR, "ValueError: no port left", id="activator raises"),
        pytest.param(FAILING_COMPONENT, "ValueError: no port left", id="component raises"),
    ],
)
def test_version_that_does_not_start_leaves_the_old_one_and_nothing_else(
    context: BundleContext, tmp_path: Path, source: str, named: str
) -> None:
    loader = BundleLoader(context)
    old = started(loader, greeter(tmp_path, "1.0.0", "hello"))
    broken = open_archive(packed(tmp_path, "greeter", "1.1.0", init=source))
    bundles = context.get_bundles()
    with pytest.raises(InvalidInput, match=named):
        loader.upgrade(old, broken)
    assert greetings(context) == ["hello"]
    assert loader.installed == (old,)
    assert leftovers(broken) == []
    assert context.get_bundles() == bundles


def test_factory_name_that_is_taken_is_refused_with_its_owner(context: BundleContext, tmp_path: Path) -> None:
    source = COMPONENT.replace('f"{__name__}.greeter"', '"greeter"').replace("from .words import WORD", "WORD = 1")
    loader = BundleLoader(context)
    first = started(loader, open_archive(packed(tmp_path, "greeter", "1.0.0", init=source)))
    second = open_archive(packed(tmp_path, "greeter", "1.1.0", init=source))
    with pytest.raises(InvalidInput, match=f"'greeter' exists already, in {first.package}"):
        loader.install(second)
    assert leftovers(second) == []


def test_bundle_that_fails_to_stop_is_gone_all_the_same(context: BundleContext, tmp_path: Path) -> None:
    source = FAILING_ACTIVATOR.replace("raise", "return").replace("pass", "raise OSError('port stuck')")
    source = source.replace('ValueError("no port left")', "None")
    loader = BundleLoader(context)
    archive = open_archive(packed(tmp_path, "greeter", init=source))
    installed = started(loader, archive)
    with pytest.raises(InvalidInput, match="port stuck"):
        loader.uninstall(installed)
    assert context.get_all_service_references("greeting", None) is None
    assert leftovers(archive) == []


def test_resources_and_source_lines_are_found_in_the_archive(context: BundleContext, tmp_path: Path) -> None:
    source = """
        import importlib.resources, inspect
        from pelix.constants import BundleActivator
        from . import words

        TEXT = importlib.resources.files(__package__).joinpath("words.py").read_text()
        SOURCE = inspect.getsource(words)
    """
    archive = open_archive(packed(tmp_path, "greeter", init=source, words="WORD = 'hello'\n"))
    installed = BundleLoader(context).install(archive)
    assert installed.bundle.get_module().TEXT == "WORD = 'hello'\n"
    assert installed.bundle.get_module().SOURCE == "WORD = 'hello'\n"
