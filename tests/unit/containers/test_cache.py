"""The cache of what is expensive to make, with several that want the same."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from inaetics.containers.cache import alone, scratch, used, youngest_first
from inaetics.containers.replicate_files import RegistryFiles
from inaetics.errors import CommandFailed


def test_several_that_lack_the_same_make_it_once(tmp_path: Path) -> None:
    made: list[str] = []
    begun, go_on = threading.Event(), threading.Event()

    def build(name: str) -> None:
        with alone(tmp_path / "cache"):
            if not made:
                begun.set()
                go_on.wait(20)
                made.append(name)

    first = threading.Thread(target=build, args=("first",))
    second = threading.Thread(target=build, args=("second",))
    first.start()
    assert begun.wait(20)
    second.start()
    second.join(0.2)
    assert second.is_alive(), "it waits"
    go_on.set()
    for each in (first, second):
        each.join(20)
    assert made == ["first"]


def gone_meanwhile(path: Path) -> None:
    """What is in a listing and cannot be looked at any more: another process has just removed it."""
    path.symlink_to(path.with_name("nowhere"))


def test_what_another_build_removes_while_this_one_looks_is_passed_over(tmp_path: Path) -> None:
    for number, name in enumerate(("old", "young")):
        (tmp_path / f"base-{name}.tar").touch()
        os.utime(tmp_path / f"base-{name}.tar", (number + 1, number + 1))
    gone_meanwhile(tmp_path / "base-gone.tar")
    gone_meanwhile(tmp_path / ".build-gone")
    names = [path.name for path in youngest_first(tmp_path, "base-*.tar")]
    assert names == ["base-young.tar", "base-old.tar", "base-gone.tar"]
    assert used(tmp_path / "base-old.tar", "base-*.tar") == tmp_path / "base-old.tar"
    with scratch(tmp_path, "build") as workplace:
        assert workplace.is_dir()


def test_an_archive_that_another_build_let_go_of_does_not_come_back_empty(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="try again"):
        used(tmp_path / "base-a.tar", "base-*.tar")
    assert list(tmp_path.iterdir()) == []


def test_a_blob_that_goes_while_sizes_are_summed_counts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").write_bytes(b"12345")
    monkeypatch.setattr(Path, "glob", lambda path, pattern: iter([tmp_path / "data", tmp_path / "gone"]))
    assert RegistryFiles(tmp_path).size() == 5
