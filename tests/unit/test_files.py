"""A file is replaced whole or not at all, and a durable one is on the disk before anybody is told."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from inaetics.files import replace_file, replacing


def _steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What reaches the disk, in order: files and directories that are synced, and the change of names."""
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        steps.append("directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def replaced(self: Path, target: Any) -> Path:
        steps.append("name")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    return steps


def test_the_content_is_synced_before_the_name_and_the_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = _steps(monkeypatch)
    replace_file(tmp_path / "ca.key", "secret\n")
    assert steps == ["file", "name", "directory"]
    assert (tmp_path / "ca.key").read_text() == "secret\n"


def test_what_is_made_again_anyway_waits_for_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = _steps(monkeypatch)
    replace_file(tmp_path / "wrapper", b"#!/bin/sh\n", mode=0o700, durable=False)
    assert steps == ["name"]


def test_a_file_is_its_owners_only_unless_said_otherwise(tmp_path: Path) -> None:
    made = tmp_path / "new" / "ca.key"
    replace_file(made, "secret")
    replace_file(tmp_path / "wrapper", "", mode=0o700)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (made, made.parent, tmp_path / "wrapper")]
    assert modes == [0o600, 0o700, 0o700]


def test_a_failure_leaves_the_one_before_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "cluster.json"
    replace_file(path, "before")
    with suppress(KeyboardInterrupt), replacing(path) as file:
        file.write(b"aft")
        raise KeyboardInterrupt
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_readers_find_the_old_content_until_the_new_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "snapshot"
    replace_file(path, "before")
    with replacing(path) as file:
        file.write(b"aft")
        file.flush()
        assert path.read_text() == "before"
        file.write(b"er")
    assert path.read_text() == "after"


def test_a_disk_that_refuses_to_sync_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        replace_file(tmp_path / "desired.json", "{}")
    assert list(tmp_path.iterdir()) == []
