"""Control groups of machines that are not this one: what is found there, and what is written into which file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from inaetics.supervisor.cgroups import Groups, open_groups, remove_groups
from inaetics.supervisor.group_files import Whole, settings
from inaetics.supervisor.hierarchies import Hierarchy, mounts_of
from inaetics.units.resources import Amount, Resources

V2 = "30 25 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
HYBRID = (
    "30 25 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro\n"
    "31 30 0:27 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw\n"
    "32 30 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
    "33 30 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "34 30 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
)
WHOLE = Whole(memory=1000, tasks=500)
ALL = Resources(
    memory_min=Amount(value=1),
    memory_low=Amount(value=2),
    memory_high=Amount(),
    memory_max=Amount(share=0.5),
    memory_swap_max=Amount(value=20),
    cpu_quota=0.5,
    cpu_quota_period_s=0.01,
    cpu_weight=200,
    tasks_max=Amount(share=0.1),
)


@pytest.mark.parametrize(
    ("mountinfo", "own", "found"),
    [
        pytest.param(V2, "0::/user.slice/a.scope\n", {"": "/sys/fs/cgroup/user.slice/a.scope"}, id="v2"),
        pytest.param(V2, "0::/\n", {"": "/sys/fs/cgroup"}, id="v2, in its root"),
        pytest.param(
            HYBRID,
            "4:memory:/x\n3:cpu,cpuacct:/\n1:name=systemd:/y z\n0::/u\n",
            {
                "": "/sys/fs/cgroup/unified/u",
                "name=systemd": "/sys/fs/cgroup/systemd/y z",
                "cpu,cpuacct": "/sys/fs/cgroup/cpu,cpuacct",
                "memory": "/sys/fs/cgroup/memory/x",
            },
            id="hybrid",
        ),
        pytest.param(
            V2.replace("0:26 /", "0:26 /docker/1"),
            "0::/docker/1/sub\n",
            {"": "/sys/fs/cgroup/sub"},
            id="a part mounted",
        ),
        pytest.param(V2.replace("0:26 /", "0:26 /docker/1"), "0::/docker/12\n", {}, id="another part mounted"),
        pytest.param(V2, "0::/../outside\n", {}, id="our group is outside the namespace"),
        pytest.param("", "0::/\n", {}, id="nothing mounted"),
        pytest.param(HYBRID.splitlines()[4], "0::/\n", {}, id="mounted, and we are in none"),
    ],
)
def test_finds_our_own_groups(mountinfo: str, own: str, found: dict[str, str]) -> None:
    mounts = mounts_of(mountinfo, own)
    assert {",".join(sorted(mount.controllers)): mount.own for mount in mounts} == found
    assert all(mount.unified == (not mount.controllers) for mount in mounts)


def test_what_v2_is_told() -> None:
    wanted, unmet = settings(ALL, {"memory": True, "cpu": True, "pids": True}, WHOLE)
    assert {each.file: each.value for each in wanted} == {
        "memory.max": "500",
        "memory.swap.max": "20",
        "memory.high": "max",
        "memory.low": "2",
        "memory.min": "1",
        "cpu.max": "5000 10000",
        "cpu.weight": "200",
        "pids.max": "50",
    }
    assert unmet == []


def test_what_v1_is_told_and_what_it_cannot_do() -> None:
    wanted, unmet = settings(ALL, {"memory": False, "cpu": False, "pids": False}, WHOLE)
    assert [(each.file, each.value) for each in wanted] == [
        ("memory.limit_in_bytes", "500"),
        ("memory.memsw.limit_in_bytes", "520"),
        ("cpu.cfs_period_us", "10000"),
        ("cpu.cfs_quota_us", "5000"),
        ("cpu.shares", "2048"),
        ("pids.max", "50"),
    ]
    assert [text.split()[0] for text in unmet] == ["MemoryHigh=", "MemoryLow=", "MemoryMin="]


def test_what_no_controller_keeps_is_said() -> None:
    wanted, unmet = settings(ALL, {"cpu": True}, WHOLE)
    assert {each.controller for each in wanted} == {"cpu"}
    assert {text.split()[0] for text in unmet} >= {"MemoryMax=", "TasksMax=", "MemorySwapMax="}
    assert settings(Resources(), {}, WHOLE) == ([], [])


@pytest.mark.parametrize(("unified", "file", "value"), [(True, "cpu.idle", "1"), (False, "cpu.shares", "2")])
def test_an_idle_unit(unified: bool, file: str, value: str) -> None:
    (setting,), _ = settings(Resources(cpu_weight="idle"), {"cpu": unified}, WHOLE)
    assert (setting.file, setting.value) == (file, value)


def test_a_small_quota_is_counted_over_a_longer_time() -> None:
    (setting,), _ = settings(Resources(cpu_quota=0.01, cpu_quota_period_s=0.001), {"cpu": True}, WHOLE)
    assert setting.value == "1000 100000"


def test_a_limit_that_the_kernel_refuses_is_said(tmp_path: Path) -> None:
    """A plain directory stands for a group without the file."""
    groups = Groups((Hierarchy(path=str(tmp_path), unified=True, controllers=frozenset({"pids"}), tracks=True),))
    place = groups.place("a.service", Resources(tasks_max=Amount(value=5)))
    assert "TasksMax= cannot be kept here" in place.unmet[0]
    assert place.procs == (f"{tmp_path}/a.service/cgroup.procs",)


def test_a_group_that_cannot_be_made_is_said_and_does_not_keep_the_unit(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    groups = Groups((Hierarchy(path=str(gone), unified=True, controllers=frozenset({"pids"}), tracks=True),))
    place = groups.place("a.service", Resources(tasks_max=Amount(value=5)))
    assert place.procs == ()
    assert "TasksMax= cannot be kept here" in place.unmet[0]
    assert groups.processes("a.service") == set()
    groups.kill("a.service")
    assert groups.oom_kills("a.service") == 0
    groups.remove("a.service")


def _v1(directory: Path) -> Groups:
    """Plain directories stand for the groups of a v1 machine; what the kernel would put in them is made here."""
    for each in (directory, directory / "a.service", directory / "b.service"):
        each.mkdir(exist_ok=True)
        (each / "cpu.shares").write_text("1024")
    cpu = Hierarchy(path=str(directory), unified=False, controllers=frozenset({"cpu"}))
    return Groups((cpu,))


def test_on_v1_our_group_weighs_what_the_units_in_it_do(tmp_path: Path) -> None:
    def ours() -> int:
        return int((tmp_path / "cpu.shares").read_text())

    groups = _v1(tmp_path)
    groups.place("a.service", Resources(cpu_weight=1000))
    assert ours() == 10240 + 1024
    groups.place("b.service", Resources(cpu_weight=150))
    assert ours() == 10240 + 1536
    groups.place("c.service", Resources())
    assert ours() == 10240 + 1536, "one without limits has no group here"
    again = Groups((Hierarchy(path=str(tmp_path), unified=False, controllers=frozenset({"cpu"})),))
    again.place("b.service", Resources(cpu_weight=100))
    assert ours() == 10240 + 1024, "a successor knows what its predecessor placed"
    (tmp_path / "a.service" / "cpu.shares").unlink()
    again.remove("a.service")
    assert ours() == 1024
    again.place("b.service", Resources(cpu_weight=10_000))
    (tmp_path / "d.service").mkdir()
    (tmp_path / "d.service" / "cpu.shares").write_text("1024")
    again.place("d.service", Resources(cpu_weight=10_000, cpu_quota=0.5))
    assert ours() == 204_800
    (tmp_path / "e.service").mkdir()
    (tmp_path / "e.service" / "cpu.shares").write_text("1024")
    again.place("e.service", Resources(cpu_weight=10_000))
    assert ours() == 262_144, "the most that the kernel takes"


def test_a_machine_without_groups() -> None:
    groups = Groups(())
    assert (groups.controllers, groups.tracks) == (frozenset(), False)
    assert groups.place("a.service", Resources()).procs == ()
    assert groups.describe() == "limits: nothing; units have no groups of their own"


def test_the_record_is_that_of_the_run(tmp_path: Path) -> None:
    """Where groups can be had, a successor has the same ones; the next run has others, and the old ones are gone."""
    first = open_groups(tmp_path, f"unit-test-{os.getpid()}-1", again=False)
    places = first.place("a.service", Resources()).procs
    again = open_groups(tmp_path, "ignored", again=True)
    assert again.place("a.service", Resources()).procs == places
    open_groups(tmp_path, f"unit-test-{os.getpid()}-2", again=False)
    assert not [path for path in places if os.path.exists(path)]
    remove_groups(tmp_path)
    remove_groups(tmp_path)
