"""Units that run only while their machine is in touch: whatever dies, they have stopped at the deadline."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from functools import partial

import pytest

from inaetics.errors import Unavailable
from inaetics.supervisor.protocol import Active, UnitStatus
from tests.component.supervisor.daemon import WITHIN_S, Daemon, daemon, service
from tests.support.eventually import aeventually

GENTLE = service("ExecStart=/bin/sleep 1000\nRestart=always\nRestartSec=0\nTimeoutStopSec=1")
STUBBORN = service("ExecStart=/bin/sh -c \"trap '' TERM; echo up; while :; do sleep 0.1; done\"\nTimeoutStopSec=1")


async def start(it: Daemon, name: str, text: str, *, within_s: float = 600) -> int:
    await it.client.load(name, text, stop_when_lost=True)
    await it.client.arm(within_s)
    await it.client.start(name)
    pid = (await it.is_active(name)).main_pid
    assert pid
    return pid


def is_lost(status: UnitStatus) -> bool:
    return (status.active, status.result) == (Active.FAILED, "lost-touch")


def boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


async def until(check: object, what: str) -> None:
    assert callable(check)

    async def look() -> object:
        return check()

    await aeventually(look, within_s=WITHIN_S, what=what)


def test_only_units_marked_so_are_stopped_and_they_say_why() -> None:
    async def main() -> None:
        async with daemon() as it:
            await start(it, "a.service", GENTLE)
            await it.start("keeps.service", GENTLE)
            kept = (await it.is_active("keeps.service")).main_pid
            await it.client.arm(0.5)
            lost = await it.becomes("a.service", is_lost)
            assert "out of touch" in (lost.message or "")
            assert lost.stop_when_lost
            assert (await it.status("keeps.service")).main_pid == kept
            assert await it.said("a.service", "failed (lost-touch)")

    asyncio.run(main())


def test_what_lives_at_the_deadline_is_killed_whatever_its_file_says() -> None:
    """The deadline is asked of the kernel: a process that the unit left behind lives no longer than the main one."""

    async def main() -> None:
        async with daemon() as it:
            directives = "KillMode=process\nSendSIGKILL=no\nExecStopPost=/bin/sleep 1000"
            leaves = service(f"ExecStart=/bin/sh -c 'sleep 1000 & exec sleep 1001'\nTimeoutStopSec=1\n{directives}")
            await start(it, "leaves.service", leaves)
            await start(it, "stubborn.service", STUBBORN)
            await it.said("stubborn.service", "up")
            deadline = boottime() + 1.3
            await it.client.arm(1.3)
            await it.becomes("stubborn.service", is_lost)
            await it.becomes("leaves.service", is_lost)
            assert boottime() >= deadline, "the stop had its time"
            assert it.processes() == {}

    asyncio.run(main())


def test_an_arm_in_time_keeps_them_running_and_one_too_late_does_not_start_them() -> None:
    async def main() -> None:
        async with daemon() as it:
            pid = await start(it, "a.service", GENTLE)
            for _ in range(8):
                await it.client.arm(4)
                await asyncio.sleep(0.6)
            assert (await it.status("a.service")).main_pid == pid
            await it.becomes("a.service", is_lost)
            with pytest.raises(Unavailable, match="OnLost=stop"):
                await it.client.start("a.service")
            with pytest.raises(Unavailable, match="OnLost=stop"):
                await it.client.restart("a.service")
            await it.client.arm(600)
            assert is_lost(await it.status("a.service")), "its agent starts it, nobody else"
            await it.client.start("a.service")
            await it.is_active("a.service")

    asyncio.run(main())


def test_nothing_starts_before_something_was_armed() -> None:
    async def main() -> None:
        async with daemon() as it:
            await it.client.load("a.service", GENTLE, stop_when_lost=True)
            with pytest.raises(Unavailable, match="out of touch"):
                await it.client.start("a.service")
            needs = service("ExecStart=/bin/sleep 1000", unit="Requires=a.service\nAfter=a.service")
            await it.start("needs.service", needs)
            refused = await it.is_over("needs.service")
            assert (refused.active, refused.result) == (Active.FAILED, "dependency")
            assert it.processes() == {}

    asyncio.run(main())


@pytest.mark.parametrize("text", [pytest.param(GENTLE, id="gentle"), pytest.param(STUBBORN, id="stubborn")])
def test_a_deadline_that_passes_while_the_supervisor_is_dead_is_kept_by_the_next_one(text: str) -> None:
    async def main() -> None:
        async with daemon() as it:
            pid = await start(it, "a.service", text)
            await it.client.arm(3)  # its stop begins a second before
            await it.kill()
            await asyncio.sleep(3.1)
            assert pid in it.processes()
            await it.begin()
            assert is_lost(await it.is_over("a.service"))
            assert it.processes() == {}
            await it.again()
            assert is_lost(await it.status("a.service")), "and so it stays"

    asyncio.run(main())


def test_a_deadline_survives_the_supervisor() -> None:
    async def main() -> None:
        async with daemon() as it:
            pid = await start(it, "a.service", GENTLE)
            await it.client.arm(8)
            await it.again()
            assert (await it.status("a.service")).main_pid == pid
            await it.becomes("a.service", is_lost)
            assert it.processes() == {}

    asyncio.run(main())


def test_what_died_unseen_is_not_started_again_past_the_deadline() -> None:
    """Restart=always of a unit whose end nobody saw waits for nobody; this supervisor looks at the deadline first."""

    async def main() -> None:
        async with daemon() as it:
            pid = await start(it, "a.service", GENTLE)
            runs = it.home / "runs"
            counting = f"ExecStartPre=/bin/sh -c 'echo run >> {runs}; exec sleep 1000'\nExecStart=/bin/sleep 1000"
            await it.client.load("pre.service", service(f"{counting}\nTimeoutStopSec=1"), stop_when_lost=True)
            await it.client.start("pre.service")
            await until(runs.exists, "its command runs")
            await it.client.arm(2.5)
            await it.kill()
            for number in {pid, *it.processes()}:
                os.kill(number, signal.SIGKILL)
            await asyncio.sleep(2.6)
            await it.begin()
            assert is_lost(await it.is_over("a.service"))
            assert is_lost(await it.is_over("pre.service"))
            assert runs.read_text() == "run\n"

    asyncio.run(main())


def test_a_deadline_that_cannot_be_read_has_passed() -> None:
    async def main() -> None:
        async with daemon() as it:
            await start(it, "a.service", GENTLE)
            await it.kill()
            (it.run / "deadline").write_bytes(b"\0" * 48)
            await it.begin()
            assert is_lost(await it.is_over("a.service"))
            assert it.processes() == {}

    asyncio.run(main())


def test_a_boot_knows_no_deadline() -> None:
    async def main() -> None:
        async with daemon() as it:
            await start(it, "a.service", GENTLE)
            assert await it.end() == 0
            assert not (it.run / "deadline").exists()
            await it.begin()

    asyncio.run(main())


def test_one_who_is_asked_to_stop_is_no_loss() -> None:
    async def main() -> None:
        async with daemon() as it:
            await start(it, "a.service", STUBBORN)
            await it.said("a.service", "up")
            await it.client.stop("a.service")
            await it.client.arm(0.2)
            over = await it.is_over("a.service")
            assert over.result != "lost-touch"
            assert it.processes() == {}

    asyncio.run(main())


def test_many_stop_together() -> None:
    async def main() -> None:
        async with daemon() as it:
            names = [f"a@{number}.service" for number in range(60)]
            await it.client.arm(600)
            for name in names:
                await it.client.load(name, GENTLE, stop_when_lost=True)
                await it.client.start(name)
            for name in names:
                await it.is_active(name)
            await it.client.arm(1.05)
            await until(partial(_none, it), "all are dead")
            for name in names:
                assert is_lost(await it.is_over(name))

    asyncio.run(main())


def _none(it: Daemon) -> bool:
    return it.processes() == {}
