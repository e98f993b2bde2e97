"""Losing touch with everything real: etcd, the agent's daemon, the supervisor's daemon, processes."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import pytest

from inaetics.fleet.model import Desired
from inaetics.fleet.settings import AgentSettings
from tests.component.fleet.test_real import MACHINE, Host, running_host
from tests.support.eventually import aeventually

STOPS = "[Service]\nExecStart=/bin/sleep 1000\nTimeoutStopSec=1\n[X-Fleet]\nOnLost=stop\n"
STUBBORN = STOPS.replace("/bin/sleep 1000", "/bin/sh -c \"trap '' TERM; while :; do sleep 0.2; done\"")
KEEPS = "[Service]\nExecStart=/bin/sleep 1000\n"
SETTINGS = AgentSettings()
SOON_S = 2.5
"""Whoever is back so soon finds units with OnLost=stop and TimeoutStopSec=1 running: 5 - 0.9 - 1 s, less a renewal."""

LATEST_S = 3.5
"""A supervisor that is back so soon finds the deadline ahead of it: 5 - 0.9 s after a renewal that was sent before."""


async def pids(host: Host) -> dict[str, int]:
    states = await host.supervisor.client.states()
    return {name: status.main_pid for name, status in states.items() if status.main_pid}


async def until(check: Callable[[], object], what: str) -> None:
    async def look() -> object:
        return check()

    await aeventually(look, within_s=30, what=what)


async def only_runs(host: Host, expected: dict[str, int]) -> None:
    """Wait until the supervisor knows too: a process may be dead a moment before its end is told."""

    async def look() -> bool:
        return await pids(host) == expected

    await aeventually(look, within_s=30, what=f"only {expected} runs")


async def start_all(host: Host) -> dict[str, int]:
    for name, text in (("stops", STOPS), ("stubborn", STUBBORN), ("keeps", KEEPS)):
        await host.registry.submit(f"{name}.service", text, desired=Desired.LAUNCHED)
    for name in ("stops", "stubborn", "keeps"):
        await host.is_active(f"{name}.service")
    return await pids(host)


def lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


async def dead_since(pid: int) -> float:
    """Wait until the process is dead; returns the loop's time then."""
    while lives(pid):  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.01)
    return asyncio.get_running_loop().time()


async def until_quick_enough(host: Host) -> AsyncIterator[None]:
    """Try again, with everything running, while programs take longer to start than units may be out of touch.

    That happens on a machine without a processor to spare, and then units are stopped as they should be.
    """
    for _ in range(9):
        for name in ("stops", "stubborn", "keeps"):
            await host.supervisor.is_active(f"{name}.service")
            await host.is_active(f"{name}.service")
        yield
    pytest.fail("programs started too slowly, again and again: this tells nothing")


def _is_another(host: Host, incarnation: str) -> bool:
    machine = host.mirror.snapshot.machines.get(MACHINE)
    return machine is not None and machine.incarnation != incarnation


def test_units_that_stop_are_down_while_the_store_still_holds_the_lease(tmp_path: Path) -> None:
    """The lease that etcd holds cannot end before its TTL after the last renewal, which was sent before the kill."""

    async def main() -> None:
        async with running_host(tmp_path) as host:
            before = await start_all(host)
            loop = asyncio.get_running_loop()
            await asyncio.to_thread(host.etcd.pause, 0)
            cut_at = loop.time()
            async with asyncio.timeout(30):
                ends = [await dead_since(before[f"{name}.service"]) for name in ("stops", "stubborn")]
            assert max(ends) < cut_at + SETTINGS.lease_ttl_s
            await only_runs(host, {"keeps.service": before["keeps.service"]})
            await asyncio.to_thread(host.etcd.resume, 0)
            for name in ("stops", "stubborn"):
                await host.supervisor.is_active(f"{name}.service")
            after = await pids(host)
            assert after["keeps.service"] == before["keeps.service"]
            assert after["stops.service"] != before["stops.service"]

    asyncio.run(main())


def test_a_store_that_is_silent_for_a_moment_stops_nothing(tmp_path: Path) -> None:
    """Somewhat shorter than what is promised: to freeze it and to thaw it takes time too on a busy machine."""

    async def main() -> None:
        async with running_host(tmp_path) as host:
            before = await start_all(host)
            for _ in range(2):
                await asyncio.to_thread(host.etcd.pause, 0)
                await asyncio.sleep(SETTINGS.election_s - 0.5)
                await asyncio.to_thread(host.etcd.resume, 0)
                await asyncio.sleep(2)
            assert await pids(host) == before

    asyncio.run(main())


@pytest.mark.timeout(240)
def test_the_deadline_holds_when_the_agent_hangs_and_the_supervisor_is_killed(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_host(tmp_path) as host:
            before = await start_all(host)
            async for _ in until_quick_enough(host):
                before = await pids(host)
                assert host.agent is not None
                host.agent.send_signal(signal.SIGSTOP)
                hangs_at = asyncio.get_running_loop().time()
                await host.supervisor.again()
                back_at = asyncio.get_running_loop().time()
                async with asyncio.timeout(30):
                    ends = [await dead_since(before[f"{name}.service"]) for name in ("stops", "stubborn")]
                if back_at < hangs_at + LATEST_S:
                    assert max(ends) < hangs_at + SETTINGS.lease_ttl_s
                    break
                host.agent.send_signal(signal.SIGCONT)
            assert host.agent is not None
            await until(lambda: MACHINE not in host.mirror.snapshot.machines, "its lease ends")
            assert lives(before["keeps.service"])
            host.agent.send_signal(signal.SIGCONT)
            for name in ("stops", "stubborn"):
                await host.supervisor.is_active(f"{name}.service")
            assert (await pids(host))["keeps.service"] == before["keeps.service"]

    asyncio.run(main())


@pytest.mark.timeout(240)
def test_an_agent_killed_and_restarted_changes_no_process(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_host(tmp_path) as host:
            await start_all(host)
            good = 0
            async for _ in until_quick_enough(host):
                before, machines = await pids(host), host.mirror.snapshot.machines
                killed_at, incarnation = asyncio.get_running_loop().time(), machines[MACHINE].incarnation
                host.end_agent(signal.SIGKILL)
                host.start_agent()
                await until(partial(_is_another, host, incarnation), "the machine is listed anew")
                away_s = asyncio.get_running_loop().time() - killed_at
                await asyncio.sleep(SETTINGS.lease_ttl_s + 1)  # the killed one's lease has ended
                await host.is_listed()
                if away_s < SOON_S:
                    assert await pids(host) == before
                    good += 1
                    if good == 2:
                        break

    asyncio.run(main())


def test_a_host_that_boots_while_the_store_is_away_starts_what_keeps(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_host(tmp_path) as host:
            before = await start_all(host)
            await until(
                lambda: all(name in (tmp_path / "desired.json").read_text() for name in before), "it is on disk"
            )
            await asyncio.to_thread(host.etcd.kill)
            host.end_agent(signal.SIGKILL)
            assert await host.supervisor.end() == 0  # as far as a test can go: nothing of the host is left
            assert not any(lives(pid) for pid in before.values())
            await host.supervisor.begin()
            os.environ["INAETICS_DISK_GRACE_SEC"] = "1"
            try:
                host.start_agent()
            finally:
                del os.environ["INAETICS_DISK_GRACE_SEC"]
            await host.supervisor.is_active("keeps.service")
            started = await pids(host)
            assert started.keys() == {"keeps.service"}
            await asyncio.to_thread(host.etcd.start)
            for name in ("stops", "stubborn"):
                await host.supervisor.is_active(f"{name}.service")
            assert (await pids(host))["keeps.service"] == started["keeps.service"]

    asyncio.run(main())
