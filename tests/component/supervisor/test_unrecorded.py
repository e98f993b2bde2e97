"""The daemon is killed between the intent to make a process and the record of which one it became."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from contextlib import suppress

import pytest

from inaetics.errors import Unavailable
from inaetics.supervisor import procfs
from inaetics.supervisor.cgroups import Groups
from inaetics.supervisor.members import Members
from inaetics.supervisor.protocol import Active
from tests.component.supervisor.daemon import Daemon, daemon, service, until

DIES = """
import os, signal
from inaetics.supervisor import processes
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
"""

BEFORE = f"{DIES}\nprocesses.Processes.spawn = die\n"

AFTER = f"""{DIES}
spawn = processes.Processes.spawn
processes.Processes.spawn = lambda *given: (spawn(*given), die())
"""

IN_THE_CHILD = f"""{DIES}
import time
from inaetics.supervisor import fork, launcher, spawn
spawn.can_be_quick = lambda _: False
fork._enter = lambda _: time.sleep(0.7)
made = launcher.spawn
launcher.spawn = lambda *given, **more: (made(*given, **more), die())
"""
"""The child has long to go before it can be recognised."""

SLEEP = "ExecStart=/bin/sleep 1000"


async def _dies_at_start(it: Daemon, text: str, fault: str) -> None:
    it.fault = fault
    await it.begin()
    await it.client.load("a.service", text)
    with suppress(Unavailable):
        await it.client.start("a.service")
    assert it.process is not None
    assert await asyncio.to_thread(it.process.wait) == -signal.SIGKILL
    it.fault = ""


@pytest.mark.parametrize(("fault", "kind"), [(AFTER, "exec"), (IN_THE_CHILD, "simple")], ids=["made", "on-its-way"])
def test_a_process_that_was_made_is_adopted(fault: str, kind: str) -> None:
    async def main() -> None:
        async with daemon(begin=False) as it:
            await _dies_at_start(it, service(f"Type={kind}\n{SLEEP}"), fault)
            (made,) = it.processes()
            await it.begin()
            status = await it.is_active("a.service")
            assert status.main_pid == made
            await it.again()
            assert (await it.status("a.service")).main_pid == made
            await it.client.unload("a.service")
            await it.is_gone("a.service")
            assert not it.processes()

    asyncio.run(main())


def test_a_process_that_was_not_made_is_made_by_the_successor() -> None:
    async def main() -> None:
        async with daemon(begin=False) as it:
            await _dies_at_start(it, service(SLEEP), BEFORE)
            assert not it.processes()
            await it.begin()
            status = await it.is_active("a.service")
            await it.shows({status.main_pid: "sleep"})

    asyncio.run(main())


def test_the_command_before_the_start_is_gone_on_with() -> None:
    async def main() -> None:
        async with daemon(begin=False) as it:
            waits = f"ExecStartPre=/bin/sh -c 'while [ ! -e {it.home}/go ]; do sleep 0.02; done'"
            await _dies_at_start(it, service(f"{waits}\n{SLEEP}"), AFTER)
            await it.begin()
            assert (await it.status("a.service")).sub == "start-pre"
            (it.home / "go").touch()  # nobody sees how it ends, so the start begins anew
            status = await it.is_active("a.service")
            await it.shows({status.main_pid: "sleep"})

    asyncio.run(main())


@pytest.mark.parametrize("ends", ["", "kill -9 $$"], ids=["it-lives", "it-ended"])
def test_what_such_a_process_left_is_stopped_with_the_unit(ends: str) -> None:
    """Also where nobody can say which of several processes it was: then all go, and the start begins anew."""

    async def main() -> None:
        async with daemon(begin=False) as it:
            script = it.home / "script"
            script.write_text(
                f"if [ ! -e {it.home}/again ]; then touch {it.home}/again\n"
                "(setsid sh -c 'exec sleep 1001' &)\n(setsid sh -c 'exec sleep 1002' &)\n"
                f"touch {it.home}/done\n{ends}\nfi\nexec sleep 1000\n"
            )
            await _dies_at_start(it, service(f"ExecStart=/bin/sh {script}"), AFTER)
            await until(
                lambda: {"sleep 1001", "sleep 1002"} <= {line.strip() for line in it.processes().values()}, "up"
            )
            await until(
                lambda: (it.home / "done").exists() and len(it.processes()) == 2 + (not ends), "it is past that"
            )
            await it.begin()
            status = await it.is_active("a.service")
            if ends:
                await it.shows({status.main_pid: "sleep 1000"})
            await it.client.stop("a.service")
            assert (await it.is_over("a.service")).active is Active.INACTIVE
            assert not it.processes()

    asyncio.run(main())


def test_who_was_made_is_not_guessed() -> None:
    """It leads a session and was started by nobody that has its token."""
    members = Members("run", known=set(), groups=Groups(()))
    token = f"test-{os.getpid()}"
    script = "setsid sleep 1000 & setsid sleep 1000 & sleep 1000 & echo; exec sleep 1000"
    with subprocess.Popen(
        ["/bin/sh", "-c", script],
        env={**os.environ, procfs.SPAWN: token},
        start_new_session=True,
        stdout=subprocess.PIPE,
    ) as made:
        assert made.stdout is not None
        made.stdout.readline()
        started = procfs.children(made.pid)
        try:
            assert members.spawned("of another") is None
            assert members.spawned(token) == procfs.identify(made.pid)
            made.kill()
            made.wait()
            assert members.spawned(token) is None
        finally:
            for pid in started:
                os.kill(pid, signal.SIGKILL)
