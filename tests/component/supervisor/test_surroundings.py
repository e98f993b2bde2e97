"""What a unit's processes find around them, and what decides whether and when they run."""

from __future__ import annotations

import asyncio
import grp
import os
import pwd
import sys
import uuid
from pathlib import Path

import pytest

from inaetics.supervisor.procfs import boot_id
from inaetics.supervisor.protocol import Active
from tests.component.supervisor.daemon import Daemon, alive, borrowed, service
from tests.support.eventually import aeventually

SLEEP = service("ExecStart=/bin/sleep 1000")
STATUS = "/proc/self/status"


async def _lines(it: Daemon, name: str, text: str) -> list[str]:
    await it.start(name, text)
    over = await it.is_over(name)
    assert over.active is Active.INACTIVE, (over, await it.journal(name))
    return [line for line in await it.journal(name) if "supervisor:" not in line]


def _show(what: str, *lines: str) -> str:
    return service("Type=oneshot\n" + "\n".join(lines) + f"\nExecStart=/bin/sh -c '{what}'")


def test_limits_and_scheduling_are_set_before_the_program_runs(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            lines = ["LimitSTACK=4M:8M", "LimitCPU=1min", "Nice=7", "OOMScoreAdjust=321", "CPUAffinity=0"]
            lines += ["IOSchedulingClass=idle", "CPUSchedulingPolicy=batch", "CoredumpFilter=default", "UMask=0027"]
            what = "ulimit -Ss; ulimit -Hs; ulimit -t; nice; cat /proc/self/oom_score_adj; umask; ionice; chrt -p $$$$"
            what += "; grep Cpus_allowed_list /proc/self/status"
            said = await _lines(it, "a.service", _show(what, *lines))
            assert said[:6] == ["4096", "8192", "60", "7", "321", "0027"]
            assert said[6] == "idle"
            assert "SCHED_BATCH" in said[7]
            assert said[-1].split() == ["Cpus_allowed_list:", "0"]

    asyncio.run(main())


def test_specifiers_stand_for_the_host_and_its_places(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            lines = ["RuntimeDirectory=r", "StateDirectory=s", "CacheDirectory=c", "LogsDirectory=l"]
            lines += ["Environment=SAID=%t/r:%S/s:%C/c:%L/l", "ConfigurationDirectory=e"]
            lines += ["Environment=SELF=%u:%U:%g:%G:%h IS=%I:%f:%j BOOT=%b"]
            found = "$RUNTIME_DIRECTORY:$STATE_DIRECTORY:$CACHE_DIRECTORY:$LOGS_DIRECTORY"
            what = f'echo "$SAID"; echo "{found}"; echo %E/e; echo "$CONFIGURATION_DIRECTORY"; echo "$SELF"; echo "$IS"'
            said = await _lines(
                it, "back-up@srv-data.service", _show(what.replace("$", "$$") + '; echo "$BOOT"', *lines)
            )
            assert said[0] == said[1]
            assert said[2] == said[3]
            us, ours = pwd.getpwuid(os.getuid()), grp.getgrgid(os.getgid())
            assert said[4] == f"{us.pw_name}:{us.pw_uid}:{ours.gr_name}:{ours.gr_gid}:{us.pw_dir}"
            assert said[5] == "srv/data:/srv/data:up"
            assert uuid.UUID(said[6]) == uuid.UUID(boot_id())

    asyncio.run(main())


@pytest.mark.parametrize(("line", "bit"), [("", "1"), ("IgnoreSIGPIPE=no", "0")])
def test_sigpipe_is_ignored_unless_told_otherwise(host: Daemon, line: str, bit: str) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            (said,) = await _lines(it, "a.service", _show(f"grep SigIgn {STATUS}", line))
            assert f"{int(said.split()[1], 16) >> 12 & 1}" == bit

    asyncio.run(main())


def test_no_new_privileges(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            said = await _lines(it, "a.service", _show(f"grep NoNewPrivs {STATUS}", "NoNewPrivileges=yes"))
            assert said == ["NoNewPrivs:\t1"]

    asyncio.run(main())


def test_the_environment_is_passed_on_and_taken_away(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            lines = ["PassEnvironment=INAETICS_SUPERVISED NOSUCH", "Environment=A=1 B=2 C=3"]
            lines += ["UnsetEnvironment=A B=2 C=4 SHARED INAETICS_UNIT"]
            said = await _lines(it, "a.service", _show("env", *lines))
            names = {line.partition("=")[0] for line in said}
            assert "C=3" in said
            assert "INAETICS_SUPERVISED" in names
            assert "INAETICS_UNIT" in names  # our own marker stays
            assert not names & {"A", "B", "SHARED", "NOSUCH"}

    asyncio.run(main())


def test_lines_go_to_files(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            file = it.home / "out"
            for how, expected in (("append", "old\nnew\n"), ("truncate", "new\n"), ("file", "new\n")):
                file.write_text("old\n")
                assert await _lines(it, "a.service", _show("echo new", f"StandardOutput={how}:{file}")) == []
                assert file.read_text() == expected
            await it.start("b.service", _show("echo", f"StandardOutput=append:{it.home}/no/such"))
            assert (await it.is_over("b.service")).result == "resources"

    asyncio.run(main())


def test_input_comes_from_a_file_or_from_the_unit(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            file = it.home / "in"
            file.write_text("of a file\n")
            assert await _lines(it, "a.service", _show("cat", f"StandardInput=file:{file}")) == ["of a file"]
            text = _show("cat", "StandardInputText=of %p\\x21", "StandardInputData=dHdv", "StandardInput=data")
            assert await _lines(it, "b.service", text.replace("cat'", "cat; echo'")) == ["of b!", "two"]

    asyncio.run(main())


def test_directories_are_made_for_the_unit_and_named_to_it(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            lines = ["RuntimeDirectory=r/%p", "StateDirectory=s:alias", "CacheDirectory=c", "LogsDirectory=l"]
            lines += ["ConfigurationDirectory=e", "StateDirectoryMode=0700", "RemainAfterExit=yes"]
            what = "echo $$RUNTIME_DIRECTORY $$STATE_DIRECTORY $$CACHE_DIRECTORY $$LOGS_DIRECTORY"
            await it.start("a.service", _show(f"{what}; touch $$STATE_DIRECTORY/x $$RUNTIME_DIRECTORY/y", *lines))
            await it.is_active("a.service")
            said = next(line for line in await it.journal("a.service") if line.startswith("/"))
            runtime, state, *others = (Path(path) for path in said.split())
            assert all(path.is_relative_to(it.home) for path in (runtime, state, *others))
            assert state.stat().st_mode & 0o777 == 0o700
            assert (state.parent / "alias").samefile(state)
            assert (runtime / "y").exists()
            await it.again()
            await it.client.stop("a.service")
            await it.is_over("a.service")
            assert not runtime.exists()
            assert (state / "x").exists()

    asyncio.run(main())


@pytest.mark.parametrize(("preserve", "after_restart", "after_stop"), [("restart", True, False), ("yes", True, True)])
def test_a_runtime_directory_may_outlive_restarts(
    host: Daemon, preserve: str, after_restart: bool, after_stop: bool
) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            text = service(f"ExecStart=/bin/sleep 1000\nRuntimeDirectory=r\nRuntimeDirectoryPreserve={preserve}")
            await it.start("a.service", text)
            first = (await it.is_active("a.service")).main_pid
            kept = it.run / "runtime" / "r" / "kept"
            kept.touch()
            await it.client.restart("a.service")
            await it.becomes("a.service", lambda s: s.sub == "running" and s.main_pid != first)
            assert kept.exists() is after_restart
            await it.client.stop("a.service")
            await it.is_over("a.service")
            assert kept.exists() is after_stop

    asyncio.run(main())


def test_conditions_leave_a_start_out_and_assertions_fail_it(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            there = it.home / "there"
            held = f"ConditionPathExists=!{there}\nConditionHost=worker-*\nConditionCPUs=>=1\nConditionMemory=1M"
            await it.start("a.service", service("ExecStart=/bin/sleep 1000", unit=held))
            await it.is_active("a.service")
            await it.client.stop("a.service")
            await it.is_over("a.service")
            there.touch()
            await it.client.start("a.service")
            await it.said("a.service", "does not hold")
            status = await it.status("a.service")
            assert (status.active, status.result) == (Active.INACTIVE, "success")
            assert f"ConditionPathExists=!{there}" in (status.message or "")
            asserted = f"AssertPathIsDirectory={there}\nConditionPathExists=/no/such"
            await it.start("b.service", service("ExecStart=/bin/sleep 1000", unit=asserted))
            failed = await it.is_over("b.service")
            assert (failed.active, failed.result) == (Active.FAILED, "assert")
            either = f"ConditionPathExists=|/no/such\nConditionPathExists=|{there}\nConditionEnvironment=SHARED=host"
            await it.start("c.service", service("ExecStart=/bin/sleep 1000", unit=either))
            await it.is_active("c.service")

    asyncio.run(main())


def test_a_unit_left_out_holds_nobody_up_who_requires_it(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            await it.client.load("a.service", service("ExecStart=/bin/true", unit="ConditionPathExists=/no/such"))
            await it.client.load("once.service", service("Type=oneshot\nExecStart=/bin/true"))
            unit = "Requires=a.service once.service\nAfter=a.service once.service"
            await it.start("b.service", service("ExecStart=/bin/sleep 1000", unit=unit))
            await it.is_active("b.service")

    asyncio.run(main())


def test_an_exec_condition_is_asked_first(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            ask = "ExecCondition=/bin/sh -c 'echo asked; exit {}'\nExecStart=/bin/echo ran\nRestart=always"
            await it.start("a.service", service(ask.format(3)))
            over = await it.is_over("a.service")
            assert (over.active, over.result) == (Active.INACTIVE, "exec-condition")
            said = await it.journal("a.service")
            assert "asked" in said
            assert "ran" not in said

    asyncio.run(main())


TALKER = """
import os, socket, sys, time
def say(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        try:
            s.sendto(text.encode(), os.environ["NOTIFY_SOCKET"])
        except OSError:
            pass  # the supervisor is away
print("every", os.environ.get("WATCHDOG_USEC"), flush=True)
say("READY=1")
while not os.path.exists(sys.argv[1]):
    say("WATCHDOG=1")
    time.sleep(0.05)
time.sleep(1000)
"""


def test_a_watchdog_bites_what_falls_silent(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            script, silent = it.home / "talk.py", it.home / "silent"
            script.write_text(TALKER)
            command = f"ExecStart={sys.executable} {script} {silent}"
            text = service(f"Type=notify\nWatchdogSec=2\n{command}\nLimitCORE=0\nRestart=on-watchdog")
            await it.start("a.service", text)
            first = (await it.is_active("a.service")).main_pid
            await it.said("a.service", "every 2000000")
            await it.again()  # it is watched by the next supervisor too
            await asyncio.sleep(2.5)  # longer than it may be silent: it talks
            assert (await it.status("a.service")).main_pid == first
            silent.touch()
            await it.said("a.service", "said nothing for 2 s")
            silent.unlink()
            await it.becomes("a.service", lambda s: s.sub == "running" and s.main_pid != first)

    asyncio.run(main())


def test_a_unit_may_run_for_so_long_also_under_another_supervisor(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            await it.start("a.service", service("ExecStart=/bin/sleep 1000\nRuntimeMaxSec=2"))
            await it.is_active("a.service")
            await it.again()
            over = await it.is_over("a.service")
            assert (over.active, over.result) == (Active.FAILED, "timeout")

    asyncio.run(main())


def test_what_is_part_of_another_stops_and_restarts_with_it(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            await it.start("a.service", SLEEP)
            await it.start("b.service", service("ExecStart=/bin/sleep 1000", unit="PartOf=a.service\nAfter=a.service"))
            await it.start(
                "c.service", service("ExecStart=/bin/sleep 1000", unit="Requires=a.service\nAfter=a.service")
            )
            before = {name: status.main_pid for name, status in (await it.client.states()).items()}
            await it.client.restart("a.service")
            for name, pid in before.items():
                await it.becomes(name, lambda s, pid=pid: s.sub == "running" and s.main_pid != pid)  # type: ignore[misc]
                assert not alive(pid)
            await it.client.stop("a.service")
            for name in before:
                await it.is_over(name)

    asyncio.run(main())


def test_a_requisite_is_not_started(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            await it.client.load("a.service", SLEEP)
            await it.start("b.service", service("ExecStart=/bin/sleep 1000", unit="Requisite=a.service"))
            assert (await it.is_over("b.service")).result == "dependency"
            assert (await it.status("a.service")).active is Active.INACTIVE
            await it.client.start("a.service")
            await it.client.start("b.service")
            await it.is_active("b.service")
            await it.client.stop("a.service")
            await it.is_over("b.service")

    asyncio.run(main())


def test_units_in_conflict_stop_each_other_whoever_says_so(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            await it.start("a.service", SLEEP)
            await it.start("b.service", service("ExecStart=/bin/sleep 1000", unit="Conflicts=a.service"))
            await it.is_over("a.service")
            await it.is_active("b.service")
            await it.client.start("a.service")
            await it.is_over("b.service")
            await it.is_active("a.service")

    asyncio.run(main())


def test_others_follow_the_end_of_a_unit(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            for name in ("good", "bad"):
                await it.client.load(f"{name}@a.service", service("Type=oneshot\nExecStart=/bin/echo it was %p"))
            unit = "OnSuccess=good@a.service\nOnFailure=bad@a.service no-such.service"
            await it.start("a.service", service("Type=oneshot\nExecStart=/bin/true", unit=unit))
            await it.said("good@a.service", "it was good")
            assert not [line for line in await it.journal("bad@a.service") if "it was" in line]
            retried = service("ExecStart=/bin/false\nRestart=on-failure\nRestartSec=0\nStartLimitBurst=2", unit=unit)
            await it.start("b.service", retried)
            await it.said("bad@a.service", "it was bad")
            assert (await it.status("b.service")).result == "start-limit-hit"

    asyncio.run(main())


def test_a_last_signal_other_than_kill_and_a_hang_up(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            script = it.home / "deaf"
            script.write_text("trap 'echo hup' HUP\ntrap '' TERM\ntrap 'echo quit; exit 0' QUIT\necho deaf\n"
                              "while :; do sleep 0.05; done\n")  # fmt: skip
            lines = "SendSIGHUP=yes\nTimeoutStopSec=1\nFinalKillSignal=SIGQUIT\nKillMode=process"
            await it.start("a.service", service(f"ExecStart=/bin/sh {script}\n{lines}"))
            await it.said("a.service", "deaf")  # nobody else says it: the journal is shared
            await it.client.stop("a.service")
            await it.is_over("a.service")
            assert {"hup", "quit"} <= set(await it.journal("a.service"))

            async def alone() -> bool:
                return not it.processes()

            await aeventually(alone, within_s=30, what="its last sleep ends")

    asyncio.run(main())


def test_what_cannot_be_had_is_said_and_the_unit_runs(host: Daemon) -> None:
    """Without the right to, a process is as nice as it was; where the user may, it is nicer."""

    async def main() -> None:
        async with borrowed(host) as it:
            said = await _lines(it, "a.service", _show("nice", "Nice=-1", "User=nobody" if os.getuid() == 0 else ""))
            assert said[-1] in ("-1", "0")
            if said[-1] == "0":
                assert any("runs without what it asked for" in line for line in await it.journal("a.service"))

    asyncio.run(main())
