"""What a store's configuration and programs say."""

from __future__ import annotations

import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from inaetics.containers.findings import Findings
from inaetics.containers.shortcut import LONGEST, forget, short
from inaetics.containers.store import Store, prepare, remove

PLAIN = Findings(program="/usr/bin/podman", version="4.3.1")


@pytest.fixture(autouse=True)
def links_forgotten(tmp_path: Path) -> Iterator[None]:
    """The directories of tests have long names: take the short ones away again."""
    yield
    for directory in tmp_path.rglob("run"):
        forget(directory)


def store_in(place: Path, **more: str) -> Store:
    return Store(root=place / "root", runroot=place / "run", settings=place / "settings", **more)  # type: ignore[arg-type]


def settings_of(store: Store, name: str) -> dict[str, Any]:
    return tomllib.loads((store.settings / name).read_text())


def test_each_work_around_has_its_place(tmp_path: Path) -> None:
    store = store_in(tmp_path, cgroup="/inaetics/demo/worker-1")
    findings = Findings(
        program="/usr/bin/podman",
        version="4.3.1",
        storage_driver="vfs",
        cgroup_manager="cgroupfs",
        runtime="runc",
        ulimits=("nofile=1024:1024", "nproc=1024:1024"),
        cgroup_parents=True,
        isolation="chroot",
    )
    engine = prepare(store, findings)
    assert "BUILDAH_ISOLATION=chroot" in engine.command
    assert engine.command[-2:] == ("--storage-driver", "vfs")
    assert engine.run_flags == ("--cgroup-parent", "/inaetics/demo/worker-1")
    configured = settings_of(store, "containers.conf")
    assert configured["containers"]["default_ulimits"] == ["nofile=1024:1024", "nproc=1024:1024"]
    assert configured["engine"]["cgroup_manager"] == "cgroupfs"
    assert configured["engine"]["runtime"] == "runc"


def test_what_works_by_itself_is_not_set(tmp_path: Path) -> None:
    store = store_in(tmp_path, cgroup="/inaetics/demo/worker-1")
    engine = prepare(store, PLAIN)
    assert engine.run_flags == ()
    assert not any(word.startswith("BUILDAH") or word == "--storage-driver" for word in engine.command)
    assert settings_of(store, "containers.conf")["engine"].keys() == {
        "lock_type", "events_logger", "image_copy_tmp_dir",
    }  # fmt: skip


def test_short_names_are_looked_up_in_the_clusters_registry(tmp_path: Path) -> None:
    store = store_in(tmp_path, registry="127.17.8.2:5000")
    prepare(store, PLAIN)
    assert settings_of(store, "registries.conf")["unqualified-search-registries"] == ["127.17.8.2:5000"]


def test_the_run_directory_is_its_owners_only(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    prepare(store, PLAIN)
    assert store.runroot.stat().st_mode & 0o777 == 0o700


def test_the_pull_program_is_good_shell_whatever_paths_contain(tmp_path: Path) -> None:
    engine = prepare(store_in(tmp_path / 'it\'s $HOME "here"'), PLAIN)
    subprocess.run(["bash", "-n", *engine.pull_command], check=True)


def test_a_store_that_was_never_used_can_be_removed(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    prepare(store, PLAIN)
    remove(store, None)
    remove(store, None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("length", [LONGEST, LONGEST + 1, 200])
def test_run_directories_are_as_short_as_podman_wants_them(tmp_path: Path, length: int) -> None:
    directory = Path(str(tmp_path / "d").ljust(length, "d"))
    directory.mkdir()
    found = short(directory)
    try:
        assert len(str(found)) <= LONGEST or length == LONGEST < len(str(tmp_path / "d"))
        assert found.resolve() == directory.resolve()
        assert short(directory) == found
    finally:
        forget(directory)
    assert found == directory or not found.is_symlink()
