"""Units run as their files say, with real processes under a real daemon."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from inaetics.errors import Conflict, InvalidInput, NotFound, Unavailable, UnitFileError
from inaetics.supervisor import procfs
from inaetics.supervisor.client import EmbeddedSupervisor
from inaetics.supervisor.protocol import Active, UnitGone
from tests.component.supervisor.daemon import OPEN_FILES, Daemon, alive, borrowed, daemon, service

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
            assert "1002" in it.processes()[third.main_pid or 0]
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
            shell = "ExecStart=/bin/sh -c 'trap \"\" TERM; echo deaf; while :; do sleep 1000; done'\nTimeoutStopSec=0.3"
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
            assert len(it.processes()) == 2
            await it.client.stop("a.service")
            await it.is_over("a.service")
            assert it.processes() == {}

    asyncio.run(main())


def test_a_grandchild_that_lives_on_when_the_main_process_ends_is_killed(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            script = it.home / "script"
            script.write_text(f"({ESCAPE})\nsleep 0.1\n")
            await it.start("a.service", service(f"ExecStart=/bin/sh {script}"))
            await it.is_over("a.service")
            await it.said("a.service", "escaped")
            assert it.processes() == {}

    asyncio.run(main())


def test_kill_mode_process_leaves_others_alone_and_the_end_of_the_daemon_does_not() -> None:
    async def main() -> None:
        async with daemon() as it:
            script = it.home / "script"
            script.write_text(f"({ESCAPE})\nexec sleep 1000\n")
            await it.start("a.service", service(f"ExecStart=/bin/sh {script}\nKillMode=process"))
            await it.said("a.service", "escaped")
            await it.client.stop("a.service")
            await it.is_over("a.service")
            assert len(it.processes()) == 1
            assert await it.end() == 0
            assert it.processes() == {}

    asyncio.run(main())


READY = """\
import os, socket, sys, time, subprocess
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
def say(text): s.sendto(text.encode(), os.environ["NOTIFY_SOCKET"])
"""


def test_notify_waits_for_ready_and_shows_the_status(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            script = it.home / "n.py"
            script.write_text(
                READY + f"while not os.path.exists({str(it.home / 'go')!r}): time.sleep(0.01)\n"
                "say('READY=1\\nSTATUS=serving 3 clients')\ntime.sleep(1000)\n"
            )
            await it.start("a.service", service(f"Type=notify\nExecStart=/usr/bin/env python3 -S -E {script}"))
            assert (await it.status("a.service")).sub == "start"
            (it.home / "go").touch()
            status = await it.is_active("a.service")
            assert status.message == "serving 3 clients"

    asyncio.run(main())


def test_notify_extends_its_time(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            script = it.home / "n.py"
            script.write_text(
                READY + "say('EXTEND_TIMEOUT_USEC=9000000')\ntime.sleep(2)\nsay('READY=1')\ntime.sleep(1000)\n"
            )
            text = service(f"Type=notify\nTimeoutStartSec=1.5\nExecStart=/usr/bin/env python3 -S -E {script}")
            await it.start("a.service", text)
            assert (await it.becomes("a.service", lambda s: s.sub in ("running", "failed"))).sub == "running"

    asyncio.run(main())


def test_mainpid_of_a_process_that_is_no_child_of_ours_is_followed_to_its_end(host: Daemon) -> None:
    """As podman does with --sdnotify=conmon: the command ends, and somebody else is the service."""

    async def main() -> None:
        async with borrowed(host) as it:
            script = it.home / "n.py"
            script.write_text(
                READY + "p = subprocess.Popen(['sleep', '1000'], start_new_session=True)\n"
                "say(f'MAINPID={p.pid}\\nREADY=1')\nos._exit(0)\n"
            )
            text = service(f"Type=notify\nNotifyAccess=all\nExecStart=/usr/bin/env python3 -S -E {script}")
            await it.start("a.service", text)
            status = await it.becomes("a.service", lambda s: s.sub == "running")
            await it.shows({status.main_pid: "sleep"})
            os.kill(status.main_pid or 0, signal.SIGKILL)
            over = await it.is_over("a.service")
            assert (over.result, over.exit_status) == ("signal", -signal.SIGKILL)

    asyncio.run(main())


def test_a_stranger_named_as_main_process_is_followed_by_its_descriptor(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            stranger = await asyncio.create_subprocess_exec("sleep", "1000")
            script = it.home / "n.py"
            script.write_text(READY + f"say('MAINPID={stranger.pid}\\nREADY=1')\nos._exit(0)\n")
            text = service(f"Type=notify\nNotifyAccess=all\nExecStart=/usr/bin/env python3 -S -E {script}")
            await it.start("a.service", text)
            await it.becomes("a.service", lambda s: s.sub == "running" and s.main_pid == stranger.pid)
            stranger.kill()
            await stranger.wait()
            over = await it.is_over("a.service")
            assert (over.result, over.exit_status) == ("unknown", None)

    asyncio.run(main())


def test_only_the_main_process_may_speak_unless_the_unit_says_otherwise(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            script = it.home / "n.py"
            script.write_text(
                READY + "if os.fork() == 0:\n  say('READY=1')\n  print('said', flush=True)\ntime.sleep(1000)\n"
            )
            await it.start("a.service", service(f"Type=notify\nExecStart=/usr/bin/env python3 -S -E {script}"))
            await it.said("a.service", "said")
            assert (await it.status("a.service")).sub == "start"

    asyncio.run(main())


def test_the_environment_of_a_command(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            file = it.home / "more"
            file.write_text("FROM_FILE='a b'\nUNIT=file\n")
            text = service(
                f'Environment=UNIT=unit SHARED=unit "QUOTED=x y"\nEnvironmentFile={file}\nType=oneshot\n'
                "ExecStart=/usr/bin/env\nExecStart=/bin/echo words: ${QUOTED} $FROM_FILE %i %m %H\n"
                "ExecStart=@/bin/sh othername -c 'echo name $$0; pwd; umask; ulimit -n'\nLimitNOFILE=77\nUMask=0027"
            )
            await it.start("a@9.service", text)
            await it.is_over("a@9.service")
            lines = await it.journal("a@9.service")
            for line in ("UNIT=file", "SHARED=unit", "FROM_FILE=a b", f"INAETICS_SUPERVISED={it.identity}"):
                assert line in lines
            assert "words: x y a b 9 0123 worker-1" in lines
            assert [line for line in lines if line in ("/", "0027", "77")] == ["/", "0027", "77"]
            assert any(line.startswith(f"{procfs.MARKER}=a@9.service@") for line in lines)
            assert any(line.startswith("INVOCATION_ID=") and len(line) == 14 + 32 for line in lines)

    asyncio.run(main())


def test_a_unit_has_the_limit_of_open_files_that_the_daemon_came_with(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            await it.start("a.service", service("Type=oneshot\nExecStart=/bin/sh -c 'ulimit -Sn'"))
            await it.is_over("a.service")
            assert str(OPEN_FILES) in await it.journal("a.service")

    asyncio.run(main())


def test_an_environment_file_written_by_an_earlier_command_is_read_by_the_next(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            file = it.home / "made"
            text = f"Type=oneshot\nEnvironmentFile=-{file}\nExecStartPre=/bin/sh -c 'echo A=1 > {file}'\n"
            text += "ExecStart=/bin/echo got ${A}"
            await it.start("a.service", service(text))
            await it.said("a.service", "got 1")

    asyncio.run(main())


def test_user_changes_who_it_is_which_only_root_can(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            text = "Type=oneshot\nUser=daemon\nExecStart=/usr/bin/id -un\nExecStart=/bin/echo home ${HOME}"
            await it.start("a.service", service(text))
            over = await it.is_over("a.service")
            if os.getuid() == 0:
                lines = await it.journal("a.service")
                assert "daemon" in lines
                assert "home /usr/sbin" in lines
            else:
                assert "does not run as root" in (over.message or "")

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


def test_unload_stops_and_forgets_and_the_journal_stays(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            await it.start("a.service", service("ExecStart=/bin/sh -c 'echo here; exec sleep 1000'"))
            await it.said("a.service", "here")
            await it.client.unload("a.service")
            await it.is_gone("a.service")
            assert it.processes() == {}
            assert "here" in await it.journal("a.service")
            await it.client.unload("a.service")
            await it.client.stop("a.service")
            with pytest.raises(NotFound, match=r"a\.service"):
                await it.client.start("a.service")

    asyncio.run(main())


def test_watch_tells_what_is_and_then_what_changes(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            await it.client.load("a.service", SLEEP)
            seen = []
            async with asyncio.timeout(10):
                async for change in it.client.watch():
                    seen.append(change)
                    if isinstance(change, UnitGone):
                        break
                    if change.sub == "dead" and len(seen) == 1:
                        await it.client.start("a.service")
                    elif change.sub == "running":
                        await it.client.unload("a.service")
            assert seen[-1] == UnitGone(name="a.service")
            subs = [change.sub for change in seen if not isinstance(change, UnitGone)]
            assert subs[0] == "dead"
            assert "running" in subs

    asyncio.run(main())


@pytest.mark.parametrize(
    ("name", "text", "error", "word"),
    [
        pytest.param("a.service", service("ExecStart=/bin/true\nColour=red"), UnitFileError, "Colour", id="unknown"),
        pytest.param("a.service", "[Service\nExecStart=/bin/true", UnitFileError, "line 1", id="malformed"),
        pytest.param("../a.service", SLEEP, InvalidInput, "a.service", id="a path"),
        pytest.param("a@.service", SLEEP, InvalidInput, "template", id="a template"),
        pytest.param("a.timer", SLEEP, InvalidInput, "services only", id="no service"),
        pytest.param("own.service", SLEEP, Conflict, "system unit", id="the host's own"),
    ],
)
def test_what_cannot_be_loaded_is_refused_and_changes_nothing(
    name: str, text: str, error: type[Exception], word: str
) -> None:
    async def main() -> None:
        async with daemon(begin=False) as it:
            (it.system_units / "own.service").write_text(SLEEP)
            await it.begin()
            with pytest.raises(error, match=word):
                await it.client.load(name, text)
            assert list(await it.client.states()) == ["own.service"]

    asyncio.run(main())


@pytest.mark.parametrize(
    "request_", [b"nonsense\n", b'{"op":"dance"}\n', b'{"op":"start","name":7}\n', b"\xff\xfe\n", b"{}\n"]
)
def test_a_bad_request_is_answered_with_an_error(host: Daemon, request_: bytes) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            reader, writer = await asyncio.open_unix_connection(it.socket)
            writer.write(request_)
            assert b'"kind":"InvalidInput"' in await reader.readline()
            writer.close()
            await it.client.ping()

    asyncio.run(main())


def test_a_client_that_stops_reading_holds_nobody_up(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it, AsyncExitStack() as stack:
            deaf = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(3)]
            for sock in deaf:
                sock.connect(str(it.socket))
                sock.sendall(b'{"op":"watch"}\n')
            noisy = service('Type=oneshot\nExecStart=/bin/sh -c \'head -c 4000000 /dev/zero | tr "\\\\0" "y\\\\n"\'')
            await it.start("noisy.service", noisy)
            await it.is_over("noisy.service")
            deaf[0].sendall(b'{"op":"journal","name":"noisy.service","lines":1000000}\n')
            for number in range(50):
                await it.client.load(f"a@{number}.service", SLEEP)
            await it.client.load("a@1.service", service("ExecStart=/bin/sleep 1000", unit="StartLimitBurst=0"))
            for _ in range(20):
                await it.client.restart("a@1.service")
            await it.becomes("a@1.service", lambda s: s.sub == "running")

    asyncio.run(main())


def test_the_control_socket_is_its_owners_only(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            assert it.socket.stat().st_mode & 0o777 == 0o600

    asyncio.run(main())


def test_a_second_daemon_in_the_same_place_is_refused() -> None:
    async def main() -> None:
        async with daemon() as it:
            command = [sys.executable, "-m", "inaetics.supervisor", "--directory", str(it.home / "d")]
            command += ["--run-directory", str(it.run), "--socket", str(it.home / "s2")]
            other = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
            _out, err = await other.communicate()
            assert other.returncode == Conflict.exit_code
            assert str(it.pid) in err.decode()
            await it.client.ping()

    asyncio.run(main())


def test_no_daemon_is_said_so(tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(Unavailable, match="does not answer"):
            await EmbeddedSupervisor(tmp_path / "s").states()

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
