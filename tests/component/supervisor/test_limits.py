"""Limits that the machine's control groups keep, and what is said where they cannot be kept."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import msgspec
import pytest

from inaetics.supervisor.cgroups import Groups, open_groups
from inaetics.supervisor.hierarchies import Hierarchy
from inaetics.supervisor.protocol import Active
from inaetics.units.resources import Amount, Resources
from tests.component.supervisor.daemon import Daemon, alive, borrowed, daemon, service
from tests.support.eventually import aeventually

V2_ALONE = Path("/sys/fs/cgroup/cgroup.controllers").exists()
EATER = f"{sys.executable} -c \"import time; b = bytearray(400 << 20); b[::4096] = b'x' * 102400; time.sleep(1000)\""

BOMB = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
main, told = os.getpid(), False
while True:
    try:
        parent = os.fork()
    except OSError:
        if os.getpid() == main and not told:
            told = True
            print("full", flush=True)
        time.sleep(0.001)
    else:
        if parent and os.getpid() != main:
            os._exit(0)
    try:
        while os.getpid() == main and os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
"""
"""Its children hand over to children of theirs at once; it fills whatever it may have."""


@pytest.fixture(scope="module")
def possible(tmp_path_factory: pytest.TempPathFactory) -> frozenset[str]:
    """Return the controllers that this machine lets us use."""
    groups = open_groups(tmp_path_factory.mktemp("groups"), "probe", again=False)
    groups.close()
    return groups.controllers | ({"own groups"} if groups.tracks else frozenset())


def _need(possible: frozenset[str], *wanted: str) -> None:
    missing = set(wanted) - possible
    if missing:
        pytest.skip(f"this machine does not let us use {', '.join(sorted(missing))}")


def _groups_of(pid: int | None) -> dict[str, str]:
    """Return the directories of a process's groups below ours, by controller ("" is v2)."""
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return {names: path for _, names, path in (line.split(":", 2) for line in lines) if "/inaetics-" in path}


@pytest.mark.parametrize("policy", ["stop", "kill"])
def test_a_unit_that_takes_too_much_memory_is_killed_and_it_says_why(
    host: Daemon, possible: frozenset[str], policy: str
) -> None:
    _need(possible, "memory")

    async def main() -> None:
        async with borrowed(host) as it:
            text = f"ExecStart={EATER}\nMemoryMax=64M\nMemorySwapMax=0\nOOMPolicy={policy}"
            await it.start("eater.service", service(text))
            over = await it.is_over("eater.service")
            assert (over.active, over.result) == (Active.FAILED, "oom-kill")
            assert "memory" in (over.message or "")
            assert over.exit_status == -signal.SIGKILL

    asyncio.run(main())


def test_a_child_killed_for_want_of_memory_stops_the_unit(host: Daemon, possible: frozenset[str]) -> None:
    """The main process lives on, and the child is not the supervisor's: only the group tells."""
    _need(possible, "memory")

    async def main() -> None:
        async with borrowed(host) as it:
            script = it.home / "eat"
            script.write_text(f"#!/bin/sh\n({EATER}; echo child gone) &\nwhile :; do sleep 0.1; done\n")
            await it.start("a.service", service(f"ExecStart=/bin/sh {script}\nMemoryMax=64M"))
            over = await it.is_over("a.service")
            assert over.result == "oom-kill"
            await it.start("b.service", service(f"ExecStart=/bin/sh {script}\nMemoryMax=64M\nOOMPolicy=continue"))
            await it.said("b.service", "child gone")
            assert (await it.status("b.service")).active is Active.ACTIVE

    asyncio.run(main())


def test_too_many_tasks_are_refused_by_the_kernel(host: Daemon, possible: frozenset[str]) -> None:
    _need(possible, "pids")

    async def main() -> None:
        async with borrowed(host) as it:
            script = it.home / "forks"
            script.write_text("for i in 1 2 3 4 5 6 7 8 9; do sleep 1000 & done\nwait\n")
            await it.start("a.service", service(f"ExecStart=/bin/sh {script}\nTasksMax=5"))
            await it.is_over("a.service")
            assert any("fork" in line.lower() for line in await it.journal("a.service"))

    asyncio.run(main())


def test_limits_stand_in_the_groups_files_before_the_program_runs(host: Daemon, possible: frozenset[str]) -> None:
    _need(possible, "cpu", "memory", "pids")

    async def main() -> None:
        async with borrowed(host) as it:
            limits = "MemoryMax=100M\nCPUQuota=50%\nCPUWeight=50\nTasksMax=10"
            await it.start("a.service", service(f"ExecStart=/bin/cat /proc/self/cgroup\n{limits}"))
            await it.is_over("a.service")
            said = [line for line in await it.journal("a.service") if "/inaetics-" in line]
            assert said
            assert all(line.endswith("/a.service") for line in said)
            await it.start("b.service", service(f"Type=exec\nExecStart=/bin/sleep 1000\n{limits}"))
            pid = (await it.is_active("b.service")).main_pid
            values = _limits_of(pid)
            assert values["pids.max"] == "10"
            assert values.get("memory.limit_in_bytes", values.get("memory.max")) == str(100 << 20)
            assert values.get("cpu.shares", "512") == "512"

    asyncio.run(main())


@pytest.mark.parametrize("weight", [1000, 10])
def test_a_weight_counts_beside_a_unit_that_has_none(host: Daemon, possible: frozenset[str], weight: int) -> None:
    """Both compute on one processor, so whatever else runs there takes from both alike."""
    _need(possible, "cpu")
    pinned = f"ExecStart=/bin/sh -c 'while :; do :; done'\nCPUAffinity={min(os.sched_getaffinity(0))}"

    async def main() -> None:
        async with borrowed(host) as it:
            await it.start("a.service", service(f"{pinned}\nCPUWeight={weight}"))
            await it.start("b.service", service(pinned))
            pids = [(await it.is_active(unit)).main_pid for unit in ("a.service", "b.service")]
            before = [_computed_s(pid) for pid in pids]

            async def used() -> list[float]:
                now = [_computed_s(pid) - begin for pid, begin in zip(pids, before, strict=True)]
                return now if sum(now) > 1 else []

            weighted, plain = await aeventually(used, within_s=60, what="they have computed for a second")
            assert (weighted > 3 * plain) if weight > 100 else (plain > 3 * weighted), (weighted, plain)

    asyncio.run(main())


def test_what_threw_away_its_marker_and_its_parent_is_killed_with_its_unit(
    host: Daemon, possible: frozenset[str]
) -> None:
    _need(possible, "own groups")

    async def main() -> None:
        async with borrowed(host) as it:
            pid_file = it.home / "pid"
            escape = f'(setsid env -i /bin/sh -c "echo \\$\\$ > {pid_file}; exec sleep 1000" &); exec sleep 1000'
            script = it.home / "script"
            script.write_text(escape)
            await it.start("a.service", service(f"ExecStart=/bin/sh {script}"))

            async def escaped() -> int:
                return int(pid_file.read_text() or 0) if pid_file.exists() else 0

            pid = await aeventually(escaped, within_s=30, what="it escaped")
            await it.again()
            assert alive(pid)
            await it.client.stop("a.service")
            await it.is_over("a.service")
            assert not alive(pid)

    asyncio.run(main())


def test_a_unit_that_forks_without_end_is_stopped(host: Daemon, possible: frozenset[str]) -> None:
    """Each process lives shorter than a look at all of them takes; the group is killed at once."""
    _need(possible, "own groups", "pids")

    async def main() -> None:
        async with borrowed(host) as it:
            script = it.home / "bomb"
            script.write_text(BOMB)
            command = f"ExecStart={sys.executable} {script}"
            await it.start("bomb.service", service(f"{command}\nTasksMax=60\nTimeoutStopSec=1"))
            await it.said("bomb.service", "full")
            await it.client.stop("bomb.service")
            over = await it.is_over("bomb.service")
            assert over.result == "timeout"
            assert not it.processes()

    asyncio.run(main())


def test_groups_go_with_the_run_and_are_taken_over(possible: frozenset[str]) -> None:
    _need(possible, "own groups")

    async def main() -> None:
        async with daemon() as it:
            await it.start("a.service", service("Type=exec\nExecStart=/bin/sleep 1000\nTasksMax=50"))
            pid = (await it.is_active("a.service")).main_pid
            before = _groups_of(pid)
            await it.again()
            assert _groups_of(pid) == before
            await it.client.restart("a.service")
            again = await it.becomes("a.service", lambda s: s.sub == "running" and s.main_pid != pid)
            assert _groups_of(again.main_pid) == before
            await it.client.stop("a.service")
            await it.is_over("a.service")
            assert not _left(it)[1:]
            assert _left(it)
            assert await it.end() == 0
            assert not _left(it)

    asyncio.run(main())


def test_a_host_that_died_leaves_groups_that_its_next_boot_removes(possible: frozenset[str]) -> None:
    _need(possible, "own groups")

    async def main() -> None:
        async with daemon() as it:
            await it.start("a.service", service("ExecStart=/bin/sleep 1000"))
            first = _left(it)
            pid = (await it.is_active("a.service")).main_pid
            await it.kill()
            os.kill(pid or 0, signal.SIGKILL)
            (it.run / "boot").unlink()
            await it.begin()
            assert not [path for path in first if path.exists()]
            assert _left(it)

    asyncio.run(main())


def test_what_cannot_be_kept_is_said_and_the_unit_runs(host: Daemon) -> None:
    """Where there is no v2 memory controller, MemoryHigh= is such a thing."""

    async def main() -> None:
        async with borrowed(host) as it:
            await it.start("a.service", service("ExecStart=/bin/sleep 1000\nMemoryHigh=1G"))
            status = await it.is_active("a.service")
            place = Groups(()).place("a.service", Resources(memory_high=Amount(value=1 << 30)))
            assert "MemoryHigh= is not kept on this host" in place.unmet[0]
            if not V2_ALONE:
                assert "MemoryHigh= is not kept on this host" in (status.message or "")
                await it.said("a.service", "MemoryHigh= is not kept on this host")

    asyncio.run(main())


def test_system_units_run_as_well_where_weights_cannot_be_kept() -> None:
    """Their status is for what is wrong with them: it would tell so of every host without control groups."""

    async def main() -> None:
        async with daemon(begin=False) as it:
            it.fault = "from inaetics.supervisor import cgroups; cgroups.usable_hierarchies = lambda name: ()"
            it.system_units.joinpath("a.service").write_text(service("ExecStart=/bin/sleep 1000\nCPUWeight=1000"))
            await it.begin()
            assert (await it.is_active("a.service")).message is None
            await it.said("a.service", "CPUWeight= is not kept on this host")
            await it.start("b.service", service("ExecStart=/bin/sleep 1000\nCPUWeight=1000"))
            assert "CPUWeight= is not kept on this host" in ((await it.is_active("b.service")).message or "")

    asyncio.run(main())


def _limits_of(pid: int | None) -> dict[str, str]:
    values = {}
    for names, path in _groups_of(pid).items():
        for place in Path("/sys/fs/cgroup").glob(f"{names or '*'}{path}"):
            for name in ("memory.limit_in_bytes", "memory.max", "pids.max", "cpu.shares", "cpu.weight"):
                if (place / name).exists():
                    values[name] = (place / name).read_text().strip()
    return values


def _computed_s(pid: int | None) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _left(it: Daemon) -> list[Path]:
    """Return the v2 or tracking groups of this daemon's run: its own, then its units'."""
    found = msgspec.json.decode((it.home / "d" / "cgroups").read_bytes(), type=tuple[Hierarchy, ...])
    base = Path(next(each.path for each in found if each.tracks))
    return [base, *sorted(path for path in base.iterdir() if path.is_dir())] if base.exists() else []
