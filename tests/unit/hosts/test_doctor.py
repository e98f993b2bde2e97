"""What is said about a machine that lacks something."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from inaetics.errors import NotFound
from inaetics.hosts import doctor, programs
from inaetics.hosts.doctor import Level
from inaetics.hosts.paths import ClusterPaths


def _without(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(programs, "find", lambda name: None if name in names else f"/usr/bin/{name}")
    monkeypatch.setattr(doctor, "program_version", lambda name: None if name in names else "9.9.9")


def test_up_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    _without(monkeypatch, "etcd", "docker-registry", "podman")
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    with pytest.raises(NotFound, match="sudo apt-get install etcd-server docker-registry") as refused:
        programs.require()
    assert "podman" not in str(refused.value)


def test_up_is_content_without_what_it_can_do_without(monkeypatch: pytest.MonkeyPatch) -> None:
    _without(monkeypatch, "podman", "mmdebstrap")
    programs.require()


def _examine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, doctor.Finding]:
    monkeypatch.setattr(doctor, "_engine", lambda paths: iter(()))  # trying one takes seconds; tested with real ones
    paths = ClusterPaths(name="demo", state=tmp_path / "demo", run=tmp_path / "run")
    return {each.what: each for each in doctor.examine(paths)}


def test_a_fine_machine_has_nothing_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _without(monkeypatch)
    found = _examine(tmp_path, monkeypatch)
    assert [each for each in found.values() if each.level is Level.WRONG] == []
    assert found["cluster demo"].found == "not made yet"


def test_what_is_missing_comes_with_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _without(monkeypatch, "etcd", "podman")
    found = _examine(tmp_path, monkeypatch)
    assert found["etcd"].level is Level.WRONG
    assert "etcd-server" in found["etcd"].help
    assert found["podman"].level is Level.WARNING


def test_what_is_too_old_is_named_with_the_version_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _without(monkeypatch)
    monkeypatch.setattr(doctor, "program_version", lambda name: "3.3.25" if name == "etcd" else "9.9.9")
    monkeypatch.setattr(doctor, "PYTHON", (sys.version_info.major, sys.version_info.minor + 1))
    found = _examine(tmp_path, monkeypatch)
    assert (found["etcd"].level, "3.4 or newer" in found["etcd"].help) == (Level.WRONG, True)
    assert found["Python"].level is Level.WRONG


def test_a_torn_cluster_file_is_a_finding_no_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _without(monkeypatch)
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "cluster.json").write_text("{")
    found = _examine(tmp_path, monkeypatch)["cluster demo"]
    assert (found.level, found.help) == (Level.WRONG, "inaetics destroy")
