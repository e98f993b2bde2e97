"""Snapshots, alarms and room over a real etcd of one member; whole clusters are in `test_three`."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from inaetics.errors import CommandFailed, InaeticsError, Unavailable
from inaetics.hosts import etcd_care
from inaetics.hosts.cluster import Cluster, save
from inaetics.hosts.paths import ClusterPaths
from inaetics.hosts.progress import Silence
from inaetics.store.etcd import connect
from tests.component.hosts.member import Member, member


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[Member]:
    with member(tmp_path, quota_bytes=2 * 2**20) as running:
        subnet = running.host.address.rpartition(".")[0]
        cluster = Cluster(name="demo", subnet=subnet, workers=1, control=("worker-1",), created=0.0, id="1")
        save(running.paths, cluster)
        yield running


def _put(etcd: Member, count: int, size: int = 1) -> None:
    async def main() -> None:
        async with connect([etcd.endpoint], tls=etcd.tls("operator")) as store:
            for _ in range(count):
                await store.put("/a", b"x" * size)

    asyncio.run(main())


def test_the_status_of_a_member(etcd: Member) -> None:
    _put(etcd, 3)
    found = etcd_care.status(etcd.paths)
    (one,) = found.members
    assert (one.name, one.error, one.leads, one.revision, one.index - one.applied) == ("worker-1", "", True, 4, 0)
    assert 0 < one.in_use <= one.size
    assert (found.quorum, found.alarms) == (True, {})


def test_a_full_store_says_so_and_takes_writes_again_once_room_is_made(etcd: Member) -> None:
    with pytest.raises(InaeticsError):
        _put(etcd, 60, size=100_000)
    assert etcd_care.status(etcd.paths).alarms == {"NOSPACE": ("worker-1",)}
    with pytest.raises(InaeticsError):
        _put(etcd, 1)
    before = etcd_care.status(etcd.paths).members[0].size
    told: list[str] = []
    after = etcd_care.defragment(etcd.paths, told.append)
    assert told == ["worker-1"]
    assert (after.alarms, after.members[0].size < before / 4) == ({}, True)
    _put(etcd, 1)


def test_a_snapshot_is_whole_and_its_owners_only(etcd: Member, tmp_path: Path) -> None:
    _put(etcd, 3, size=100_000)
    file = tmp_path / "snapshot.db"
    assert etcd_care.snapshot(etcd.paths, file) == ("worker-1", file.stat().st_size)
    assert file.stat().st_mode & 0o777 == 0o600
    told = subprocess.run(
        ["etcdctl", "snapshot", "status", file],
        env={"ETCDCTL_API": "3", "PATH": "/usr/bin"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert told.stdout.split(", ")[1] == "4"
    with pytest.raises(InaeticsError, match="is never written over another"):
        etcd_care.snapshot(etcd.paths, file)


def test_a_damaged_snapshot_changes_nothing(etcd: Member, tmp_path: Path) -> None:
    file = tmp_path / "snapshot.db"
    etcd_care.snapshot(etcd.paths, file)
    file.write_bytes(file.read_bytes()[:-40] + b"x" * 40)
    with pytest.raises(CommandFailed, match="nothing was changed"):
        etcd_care.restore(etcd.paths, file, Silence())
    assert sorted(path.name for path in etcd.paths.host("worker-1").etcd.iterdir()) == []


def test_no_snapshot_of_a_store_that_does_not_answer(tmp_path: Path) -> None:
    with member(tmp_path) as gone:
        paths: ClusterPaths = gone.paths
        subnet = gone.host.address.rpartition(".")[0]
        save(paths, Cluster(name="demo", subnet=subnet, workers=1, control=("worker-1",), created=0.0, id="1"))
    found = etcd_care.status(paths)
    assert (found.quorum, found.members[0].error) == (False, "Connection refused")
    with pytest.raises(Unavailable, match="do not answer"):
        etcd_care.snapshot(paths, tmp_path / "snapshot.db")
    assert not (tmp_path / "snapshot.db").exists()


def test_a_snapshot_that_arrives_damaged_is_not_kept(
    etcd: Member, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashlib, "sha256", hashlib.sha512)
    with pytest.raises(Unavailable, match="arrived damaged"):
        etcd_care.snapshot(etcd.paths, tmp_path / "snapshot.db")
    assert not list(tmp_path.glob("*snapshot.db*"))
