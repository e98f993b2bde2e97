"""The probe: it finds what works, remembers it, tries work-arounds, and says why when nothing does."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from inaetics.containers.engine import probe
from inaetics.containers.findings import Findings
from inaetics.errors import CommandFailed, NotFound
from tests.component.containers.conftest import Hosts
from tests.component.containers.tiny import groups_named, podman

REAL = shutil.which("podman") or "/usr/bin/podman"


def fake_podman(directory: Path, body: str) -> Path:
    """A program `podman` in front of the real one."""
    directory.mkdir()
    program = directory / "podman"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    return program


def put_first(monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    monkeypatch.setenv("PATH", f"{directory}:/usr/sbin:/usr/bin:/sbin:/bin")


def test_what_was_found_runs_and_builds(findings: Findings, hosts: Hosts) -> None:
    engine = hosts().engine
    recipe = b"FROM scratch\nCOPY hosts /hosts\n"
    podman(engine, "build", "--quiet", "--tag", "localhost/found", "--file", "-", "/etc", stdin=recipe)
    assert "localhost/found" in podman(engine, "images")


def test_nothing_of_a_probe_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    near, temporary = tmp_path / "near", tmp_path / "t"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    probe(near, cache=tmp_path / "cache")
    assert [*near.iterdir(), *temporary.iterdir()] == []
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
    assert not groups_named(f"inaetics/probe-{os.getpid()}")


def test_the_outcome_is_remembered(tmp_path: Path) -> None:
    probe(tmp_path, cache=tmp_path / "cache")
    remembered = next((tmp_path / "cache").glob("engine-*.json"))
    remembered.write_bytes(remembered.read_bytes().replace(b'"runtime": ""', b'"runtime": "remembered"'))
    assert probe(tmp_path, cache=tmp_path / "cache").runtime == "remembered"


def test_a_work_around_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that runs only with cgroupfs, and builds only with chroot isolation."""
    body = f"""
for word in "$@"; do
  case $word in
    run) grep -q cgroupfs "$CONTAINERS_CONF" || {{ echo "no cgroups of systemd here" >&2; exit 126; }} ;;
    build) [ "$BUILDAH_ISOLATION" = chroot ] || {{ echo "isolation not permitted" >&2; exit 125; }} ;;
  esac
done
exec {REAL} "$@"
"""
    fake_podman(tmp_path / "bin", body)
    put_first(monkeypatch, tmp_path / "bin")
    found = probe(tmp_path / "near", cache=tmp_path / "cache")
    assert (found.cgroup_manager, found.isolation) == ("cgroupfs", "chroot")


def test_when_nothing_works_the_engine_has_its_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = f'[ "$1" = --version ] && exec {REAL} --version; echo "Error: kernel says no" >&2; exit 125'
    fake_podman(tmp_path / "bin", body)
    put_first(monkeypatch, tmp_path / "bin")
    with pytest.raises(CommandFailed, match=r"(?s)neither run nor build.*Error: kernel says no.*apt install runc"):
        probe(tmp_path / "near", cache=tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("engine-*")), "a failure must be tried again next time"


def test_without_an_engine_the_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("process", "engine"):
        monkeypatch.setattr(f"inaetics.containers.{module}.program_path", lambda name: None)
    with pytest.raises(NotFound, match="Debian package podman"):
        probe(tmp_path, cache=tmp_path)
