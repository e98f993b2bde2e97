"""What a machine announces: its own, less what control groups allow, unless told otherwise."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from inaetics.errors import InvalidInput
from inaetics.fleet.capacity import capacity

GIB = 1 << 30


def machine(root: Path, cgroup: str, **files: str) -> Path:
    """A machine of 8 GiB; `files` are control group files, `__` standing for `/`."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/meminfo").write_text(f"MemFree: 1 kB\nMemTotal:   {8 * GIB // 1024} kB\n")
    (root / "proc/self/cgroup").write_text(cgroup)
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_without_limits_it_is_the_whole_machine(tmp_path: Path) -> None:
    root = machine(tmp_path, "0::/\n")
    assert capacity({}, root=root) == (8 * GIB, float(len(os.sched_getaffinity(0))))


@pytest.mark.parametrize(
    ("cgroup", "files"),
    [
        pytest.param(
            "0::/a.slice/b\n",
            {"a.slice__memory.max": str(2 * GIB), "a.slice__b__memory.max": "64", "a.slice__cpu.max": "50000 100000"},
            id="version 2, the group around",
        ),
        pytest.param(
            "5:memory:/a/b\n4:cpu,cpuacct:/a/b\n0::/\n",
            {
                "memory__a__memory.limit_in_bytes": str(2 * GIB),
                "memory__memory.limit_in_bytes": "9223372036854771712",
                "cpu__a__cpu.cfs_quota_us": "50000",
                "cpu__a__cpu.cfs_period_us": "100000",
                "cpu__cpu.cfs_quota_us": "-1",
                "cpu__cpu.cfs_period_us": "100000",
            },
            id="version 1",
        ),
        pytest.param("0::/\n", {"memory.max": str(2 * GIB), "cpu.max": "50000 100000"}, id="in a container"),
    ],
)
def test_control_groups_limit_it(tmp_path: Path, cgroup: str, files: dict[str, str]) -> None:
    assert capacity({}, root=machine(tmp_path, cgroup, **files)) == (2 * GIB, 0.5)


def test_hosts_on_one_machine_share_its_memory_and_not_its_cores(tmp_path: Path) -> None:
    root = machine(tmp_path, "0::/\n")
    memory, cores = capacity({"INAETICS_SHARED_BY": "4"}, root=root)
    assert (memory, cores) == (2 * GIB, float(len(os.sched_getaffinity(0))))


def test_what_it_is_told_counts(tmp_path: Path) -> None:
    root = machine(tmp_path, "0::/\n")
    told = {"INAETICS_MEMORY": "3G", "INAETICS_CORES": "1.5", "INAETICS_SHARED_BY": "4"}
    assert capacity(told, root=root) == (3 * GIB, 1.5)


@pytest.mark.parametrize(
    ("name", "value"), [("INAETICS_MEMORY", "much"), ("INAETICS_CORES", "-1"), ("INAETICS_SHARED_BY", "0")]
)
def test_what_it_cannot_read_it_names(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(InvalidInput, match=f"cannot read {name}: '{value}' is no"):
        capacity({name: value}, root=machine(tmp_path, "0::/\n"))


def test_this_machine_says_something() -> None:
    memory, cores = capacity({})
    assert memory > 64 << 20
    assert cores > 0
