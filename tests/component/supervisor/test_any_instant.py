"""The daemon is killed with -9 at any instant of a busy life, many times; what must hold afterwards is looked at."""

from __future__ import annotations

import asyncio
import random
import sys
from contextlib import suppress

import pytest

from inaetics.errors import InaeticsError
from inaetics.supervisor import procfs
from inaetics.supervisor.protocol import Active
from tests.component.supervisor.daemon import WITHIN_S, Daemon, alive, daemon, service
from tests.support.eventually import aeventually

FEW, MANY = 12, 50
"""Kills in the gate, and in the soak."""

LATEST_S = 0.15
"""A start and a stop take about a tenth of a second, so kills fall into every part of them."""

COUNTER = 'i=0\nwhile :; do i=$((i+1)); echo "$$ $i"; sleep 0.02; done\n'
TALKER = """
import os, signal, socket, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
n = 0
while True:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        try:
            s.sendto(f"READY=1\\nSTATUS={os.getpid()} {n}".encode(), os.environ["NOTIFY_SOCKET"])
        except OSError:
            pass
    n += 1
    print(os.getpid(), n, flush=True)
    time.sleep(0.02)
"""


async def _units(it: Daemon) -> dict[str, str]:
    """Return the units: plain, notifying, with commands around, and one that ends and comes back by itself."""
    counter, talker = it.home / "counter", it.home / "talker.py"
    counter.write_text(COUNTER)
    talker.write_text(TALKER)
    plain = f"StandardError=null\nExecStart=/bin/sh {counter} %n\nRestart=always\nRestartSec=0\nTimeoutStopSec=5"
    around = (
        "ExecStartPre=/bin/sleep 0.03\nExecStartPost=/bin/sleep 0.03\nExecStop=/bin/sleep 0.03\nExecStopPost=/bin/true"
    )
    units = {f"plain@{number}.service": service(plain) for number in range(3)}
    units |= {f"around@{number}.service": service(f"{plain}\n{around}") for number in range(2)}
    talk = f"Type=notify\nExecStart={sys.executable} {talker} %n\nRestart=always\nRestartSec=0\nTimeoutStopSec=5"
    units |= {f"talk@{number}.service": service(talk) for number in range(2)}
    return {name: text.replace("[Unit]\n", "[Unit]\nStartLimitBurst=0\n") for name, text in units.items()}


async def _trouble(it: Daemon, units: dict[str, str], chooser: random.Random, wanted: dict[str, bool]) -> None:
    """Ask for this and that without end; what was asked for is noted before it is asked, and counts if it got there."""
    while True:
        name = chooser.choice(sorted(units))
        up = chooser.random() < 0.6
        wanted.pop(name, None)  # unknown until it is answered
        with suppress(InaeticsError):
            await it.client.load(name, units[name])
            if up:
                await (it.client.restart(name) if chooser.random() < 0.5 else it.client.start(name))
            else:
                await it.client.stop(name)
            wanted[name] = up
        await asyncio.sleep(chooser.random() * 0.02)


def _mains(it: Daemon) -> dict[str, list[int]]:
    """Return the living main processes by unit."""
    found: dict[str, list[int]] = {}
    for pid, line in it.processes().items():
        words = line.split()
        if words and words[-1].endswith(".service"):
            found.setdefault(words[-1], []).append(pid)
    return {name: [pid for pid in pids if not _is_child(pid, pids)] for name, pids in found.items()}


def _is_child(pid: int, others: list[int]) -> bool:
    """A shell that has forked for `sleep` and is not that yet looks like its parent."""
    seen = procfs.stat(pid)
    return seen is not None and seen.parent in others


def _judge_journal(name: str, lines: list[str]) -> None:
    """No line of a process is missing, and no two processes of the unit spoke at the same time."""
    last: dict[str, int] = {}
    speaker = ""
    for at, line in enumerate(lines):
        if "supervisor:" in line:
            continue
        pid, _, number = line.partition(" ")
        assert number.isdigit(), f"{name} has the line {line!r} among {lines[max(0, at - 3) : at + 3]}"
        if pid != speaker:
            assert pid not in last, f"{name}: {pid} speaks again after {speaker}: two at once"
            speaker = pid
        assert int(number) == last.get(pid, 0) + 1, f"{name}: {pid} said {last.get(pid, 0)} and then {number}"
        last[pid] = int(number)


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("seed", "kills"), [(1, FEW), pytest.param(2, MANY, marks=pytest.mark.soak)])
def test_killed_at_any_instant_it_comes_back_and_nothing_is_lost_or_doubled(seed: int, kills: int) -> None:
    async def main() -> None:
        chooser = random.Random(seed)
        async with daemon() as it:
            units = await _units(it)
            wanted: dict[str, bool] = {}
            for _ in range(kills):
                async with asyncio.TaskGroup() as group:
                    trouble = group.create_task(_trouble(it, units, chooser, wanted))
                    await asyncio.sleep(chooser.random() * LATEST_S)
                    await it.kill()
                    trouble.cancel()
                for name, pids in _mains(it).items():
                    assert len(pids) == 1, f"{name} runs as {pids}"
                await it.begin()
            await _settles(it, wanted)
            await _everything_works(it, units)

    asyncio.run(main())


async def _settles(it: Daemon, wanted: dict[str, bool]) -> None:
    """What was asked for and answered comes to be, and each active unit has just its own process."""

    async def settled() -> bool:
        states = await it.client.states()
        mains = _mains(it)
        for name, status in states.items():
            if name in wanted and (status.active is Active.ACTIVE) is not wanted[name]:
                return False
            if mains.get(name, []) != ([status.main_pid] if status.active is Active.ACTIVE else []):
                return False
        return set(mains) <= set(states)

    await aeventually(settled, within_s=WITHIN_S, what="every unit is as it was asked for, with one process or none")


async def _everything_works(it: Daemon, units: dict[str, str]) -> None:
    """Notifications arrive, everything can be restarted and stopped, and the journals are whole."""
    for name, text in units.items():
        await it.start(name, text)
        before = (await it.is_active(name)).main_pid
        if name.startswith("talk"):
            assert str(before) in (await it.becomes(name, lambda s: bool(s.message))).message  # type: ignore[operator]
        await it.client.restart(name)
        after = await it.becomes(name, lambda s, old=before: s.active is Active.ACTIVE and s.main_pid != old)  # type: ignore[misc]
        assert not alive(before)
        assert alive(after.main_pid)
    for name in units:
        await it.client.stop(name)
    for name in units:
        await it.is_over(name)
        _judge_journal(name, await it.journal(name, lines=1_000_000))
    assert not it.processes()
