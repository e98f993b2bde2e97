"""A disk is spoken of before it is full."""

from __future__ import annotations

from pathlib import Path

import pytest

from inaetics.containers import replicate_room
from inaetics.hosts import disk

GB = 1_000_000_000


@pytest.mark.parametrize(
    ("free", "total", "low"),
    [
        (50 * GB, 100 * GB, False),
        (9 * GB, 100 * GB, True),
        (10 * GB, 100 * GB, False),
        (GB, 5 * GB, True),
        (2 * GB, 5 * GB, False),
        (0, 0, True),
    ],
    ids=["half", "under a tenth", "a tenth", "small and under 2 GB", "small but 2 GB", "none"],
)
def test_low_is_less_than_a_tenth_or_two_gigabytes(free: int, total: int, low: bool) -> None:
    assert replicate_room.is_low(free, total) is low


def test_hosts_on_one_disk_are_told_of_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = [(name, tmp_path / name) for name in ("worker-1", "worker-2")]
    for _, place in hosts:
        place.mkdir()
    hosts.append(("worker-3", tmp_path / "never made"))
    assert list(disk.warnings(hosts)) == [] or disk.disks(hosts)[0].low
    monkeypatch.setattr(replicate_room, "LOW_BYTES", 1 << 62)
    (said,) = disk.warnings(hosts)
    assert "nearly full" in said
    assert f"for worker-1, worker-2 at {tmp_path}/worker-1" in said
    assert "inaetics image prune --registry" in said
