"""The repository: what is whole is served, what is not is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from inaetics.errors import InvalidInput
from inaetics.provisioning.repository import pack_all, read_repository, read_sources
from tests.support.bundles import bundle_folder, packed


def test_broken_archive_is_left_out_and_named(tmp_path: Path) -> None:
    packed(tmp_path, "a")
    broken = packed(tmp_path, "b")
    broken.write_bytes(broken.read_bytes()[:-40])
    repository = read_repository(tmp_path / "archives")
    assert [manifest.name for manifest in repository.manifests] == ["a"]
    assert str(broken) in repository.refused[0]


def test_same_bundle_twice_is_left_out_and_named(tmp_path: Path) -> None:
    archive = packed(tmp_path, "a")
    (archive.parent / "copy.zip").write_bytes(archive.read_bytes())
    repository = read_repository(archive.parent)
    assert repository.archives["a", "1.0.0"].path == archive
    assert "copy.zip holds a-1.0.0, as a-1.0.0.zip does" in repository.refused[0]


def test_missing_directory_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="nowhere is no directory"):
        read_repository(tmp_path / "nowhere")


def test_every_folder_with_a_manifest_is_packed(tmp_path: Path) -> None:
    for name in ("b", "a"):
        bundle_folder(tmp_path, name)
    (tmp_path / "notes").mkdir()
    assert [path.name for path in pack_all(tmp_path, tmp_path / "out")] == ["a-1.0.0.zip", "b-1.0.0.zip"]
    assert [manifest.name for manifest in read_sources(tmp_path)] == ["a", "b"]
