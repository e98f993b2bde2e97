"""Units run as their files say, with real processes under a real daemon."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from inaetics.supervisor.protocol import Active
from tests.component.supervisor.daemon import Daemon, alive, borrowed, daemon, service

SLEEP = service("ExecStart=/bin/sleep 1000")


def test_a_simple_service_runs_and_stops(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            await it.start("a.service", SLEEP)
            status = await it.status("a.service")
            assert (status.active, status.sub, status.load) == (Active.ACTIVE, "running", "loaded")
            assert alive(status.main_pid)
            await it.client.stop("a.service")
            over = await it.is_over("a.service")
            assert (over.active, over.result, over.main_pid) == (Active.INACTIVE, "success", None)
            assert not alive(status.main_pid)

    asyncio.run(main())


def test_a_start_is_idempotent_and_a_restart_is_another_process(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            await it.start("a.service", SLEEP)
            first = await it.status("a.service")
            await it.start("a.service", SLEEP)
            assert (await it.status("a.service")).main_pid == first.main_pid
            await it.client.restart("a.service")
            second = await it.becomes("a.service", lambda s: s.sub == "running" and s.main_pid != first.main_pid)
            assert not alive(first.main_pid)
            assert alive(second.main_pid)

    asyncio.run(main())


def test_new_content_counts_from_the_next_start_on(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            await it.start("a.service", service("ExecStart=/bin/sleep 1001\nExecStop=/bin/echo old stop"))
            first = await it.status("a.service")
            await it.client.load("a.service", service("ExecStart=/bin/sleep 1002"))
            second = await it.status("a.service")
            assert second.main_pid == first.main_pid
            assert second.content_hash != first.content_hash
            await it.client.restart("a.service")
            third = await it.becomes("a.service", lambda s: s.sub == "running" and s.main_pid != first.main_pid)
            await it.shows({third.main_pid: "1002"})
            await it.said("a.service", "old stop")

    asyncio.run(main())


def test_oneshot_runs_its_commands_in_order_and_ends(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            lists = ("ExecStartPre", "ExecStart", "ExecStart", "ExecStartPost", "ExecStop", "ExecStopPost")
            lines = [f"{name}=/bin/echo {number}" for number, name in enumerate(lists, start=1)]
            await it.start("a.service", service("Type=oneshot\n" + "\n".join(lines)))
            over = await it.is_over("a.service")
            assert (over.active, over.exit_status) == (Active.INACTIVE, 0)
            assert [line for line in await it.journal("a.service") if line.isdigit()] == list("123456")

    asyncio.run(main())


def test_oneshot_with_remain_after_exit_stays_active(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            await it.start("a.service", service("Type=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true"))
            status = await it.is_active("a.service")
            assert (status.sub, status.main_pid) == ("exited", None)
            await it.client.stop("a.service")
            assert (await it.is_over("a.service")).active is Active.INACTIVE

    asyncio.run(main())


@pytest.mark.parametrize(
    ("lines", "result", "word"),
    [
        pytest.param("ExecStart=/bin/sh -c 'exit 3'", "exit-code", "status 3", id="exit status"),
        pytest.param("ExecStart=/bin/sh -c 'kill -SEGV $$$$'", "signal", "SIGSEGV", id="signal"),
        pytest.param("ExecStartPre=/bin/false\nExecStart=/bin/sleep 9", "exit-code", "ExecStartPre", id="ExecStartPre"),
        pytest.param("Type=exec\nExecStart=/no/such/program", "exit-code", "203", id="no program, exec"),
        pytest.param("ExecStart=/no/such/program", "exit-code", "203", id="no program"),
        pytest.param("ExecStart=nosuchprogram", "resources", "PATH", id="not in PATH"),
        pytest.param("WorkingDirectory=/no/such\nExecStart=/bin/sleep 9", "exit-code", "200", id="no directory"),
        pytest.param("User=nobody-knows\nExecStart=/bin/sleep 9", "resources", "nobody-knows", id="no account"),
        pytest.param("EnvironmentFile=/no/such\nExecStart=/bin/sleep 9", "resources", "/no/such", id="no file"),
        pytest.param("Type=notify\nExecStart=/bin/true", "protocol", "READY=1", id="never ready"),
        pytest.param(
            "TimeoutStartSec=0.2\nExecStartPre=/bin/sleep 9\nExecStart=/bin/true", "timeout", "0.2 s", id="slow"
        ),
    ],
)
def test_a_failure_is_named(host: Daemon, lines: str, result: str, word: str) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            await it.start("a.service", service(lines))
            over = await it.is_over("a.service")
            assert (over.active, over.result) == (Active.FAILED, result)
            assert word in (over.message or "")
            assert it.processes() == {}

    asyncio.run(main())


def test_failures_with_a_minus_are_ignored(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            await it.start("a.service", service("ExecStartPre=-/bin/false\nExecStart=/bin/sleep 1000"))
            await it.is_active("a.service")

    asyncio.run(main())


def test_restart_always_restarts_until_the_start_limit(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            text = service("ExecStart=/bin/true\nRestart=always\nRestartSec=0", unit="StartLimitBurst=3")
            await it.start("a.service", text)
            over = await it.becomes("a.service", lambda s: s.active is Active.FAILED)
            assert over.result == "start-limit-hit"
            started = [line for line in await it.journal("a.service") if line.endswith("supervisor: started")]
            assert len(started) == 3

    asyncio.run(main())


def test_a_killed_service_comes_back_and_one_that_was_stopped_does_not(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            await it.start("a.service", service("ExecStart=/bin/sleep 1000\nRestart=on-failure\nRestartSec=0"))
            first = await it.is_active("a.service")
            os.kill(first.main_pid or 0, signal.SIGKILL)
            second = await it.becomes("a.service", lambda s: s.sub == "running" and s.main_pid != first.main_pid)
            await it.client.stop("a.service")
            assert (await it.is_over("a.service")).active is Active.INACTIVE
            assert not alive(second.main_pid)

    asyncio.run(main())


def test_a_stop_ends_the_wait_for_an_automatic_restart(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            await it.start("a.service", service("ExecStart=/bin/false\nRestart=always\nRestartSec=1000"))
            await it.becomes("a.service", lambda s: s.sub == "auto-restart")
            await it.client.stop("a.service")
            assert (await it.status("a.service")).active is Active.INACTIVE

    asyncio.run(main())


def test_what_ignores_sigterm_is_killed_when_its_time_is_over(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            shell = "ExecStart=/bin/sh -c 'trap \"\" TERM; echo deaf; while :; do sleep 1000; done'\nTimeoutStopSec=2"
            await it.start("a.service", service(shell))
            await it.said("a.service", "deaf")
            pid = (await it.status("a.service")).main_pid
            await it.client.stop("a.service")
            assert (await it.status("a.service")).active is Active.DEACTIVATING
            over = await it.is_over("a.service")
            assert (over.active, over.result) == (Active.FAILED, "timeout")
            assert not alive(pid)
            assert it.processes() == {}

    asyncio.run(main())


ESCAPE = "setsid sh -c 'echo escaped; exec sleep 1000' & "


@pytest.mark.parametrize("mode", ["control-group", "mixed"])
def test_a_grandchild_in_a_session_of_its_own_is_killed_too(host: Daemon, mode: str) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            script = it.home / "script"
            script.write_text(f"({ESCAPE})\nexec sleep 1000\n".replace("escaped", f"escaped {mode}"))
            await it.start("a.service", service(f"ExecStart=/bin/sh {script}\nKillMode={mode}"))
            await it.said("a.service", f"escaped {mode}")
            await it.are(2)
            await it.client.stop("a.service")
            await it.is_over("a.service")
            assert it.processes() == {}

    asyncio.run(main())


def test_a_grandchild_that_lives_on_when_the_main_process_ends_is_killed(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            script = it.home / "script"
            script.write_text(f"({ESCAPE})\nwhile [ ! -e {it.home}/end ]; do sleep 0.02; done\n")
            await it.start("a.service", service(f"ExecStart=/bin/sh {script}"))
            await it.said("a.service", "escaped")
            (it.home / "end").touch()
            await it.is_over("a.service")
            assert it.processes() == {}

    asyncio.run(main())


def test_kill_mode_process_leaves_others_alone_and_the_end_of_the_daemon_does_not() -> None:
    async def main() -> None:
        async with daemon() as it:
            script = it.home / "script"
            script.write_text(f"({ESCAPE})\nexec sleep 1000\n")
            await it.start("a.service", service(f"ExecStart=/bin/sh {script}\nKillMode=process"))
            await it.said("a.service", "escaped")
            await it.are(2)
            await it.client.stop("a.service")
            await it.is_over("a.service")
            assert len(it.processes()) == 1
            assert await it.end() == 0
            assert it.processes() == {}

    asyncio.run(main())


def test_stop_commands_know_the_main_process_and_how_it_ended(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            text = (
                "ExecStart=/bin/sleep 1000\nExecStop=/bin/echo stop ${MAINPID}\n"
                "ExecStopPost=/bin/echo post ${SERVICE_RESULT} ${EXIT_CODE} ${EXIT_STATUS}"
            )
            await it.start("a.service", service(text))
            pid = (await it.status("a.service")).main_pid
            await it.client.stop("a.service")
            await it.is_over("a.service")
            lines = await it.journal("a.service")
            assert f"stop {pid}" in lines
            assert "post success killed TERM" in lines

    asyncio.run(main())


def test_reload_runs_its_command_and_the_service_goes_on(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            await it.start("a.service", service("ExecStart=/bin/sleep 1000\nExecReload=/bin/echo again ${MAINPID}"))
            before = await it.is_active("a.service")
            await it.client.reload("a.service")
            await it.said("a.service", f"again {before.main_pid}")
            after = await it.becomes("a.service", lambda s: s.sub == "running")
            assert after.main_pid == before.main_pid

    asyncio.run(main())


def test_a_hundred_units_at_once(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            async with asyncio.TaskGroup() as group:
                for number in range(100):
                    group.create_task(it.start(f"a@{number}.service", SLEEP))
            states = await it.client.states()
            assert len(states) == 100
            assert all(status.sub == "running" and alive(status.main_pid) for status in states.values())

    asyncio.run(main())
