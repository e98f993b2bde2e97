"""The daemon is killed with -9 at any moment; its successor knows what there is and goes on."""

from __future__ import annotations

import asyncio
import os
import signal
from binascii import crc32
from functools import partial

from inaetics.errors import Unavailable
from inaetics.supervisor.protocol import Active
from tests.component.supervisor.daemon import WITHIN_S, Daemon, alive, daemon, service, until
from tests.support.eventually import aeventually

SLEEP = service("ExecStart=/bin/sleep 1000")


FULL_DISK = """
import errno, os
from inaetics.supervisor import record_log
append = record_log.RecordLog._append
def full(log, line):
    if os.path.exists("{home}/full"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    append(log, line)
record_log.RecordLog._append = full
"""


def _dead(pid: int | None) -> bool:
    return not alive(pid)


async def _pids(it: Daemon) -> dict[str, int | None]:
    return {name: status.main_pid for name, status in (await it.client.states()).items()}


def test_what_runs_is_adopted_and_nothing_is_started_or_doubled() -> None:
    async def main() -> None:
        async with daemon() as it:
            for number in range(5):
                await it.start(f"a@{number}.service", SLEEP)
            await it.start("done.service", service("Type=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true"))
            await it.is_active("done.service")
            await it.client.load("idle.service", SLEEP)
            await it.client.load("a@2.service", f"{SLEEP}# another\n")
            ran = (await it.status("a@1.service")).run_hash
            before, since = await _pids(it), (await it.status("a@1.service")).since
            await it.again()
            assert await _pids(it) == before
            assert (await it.status("a@1.service")).since == since
            assert (await it.status("a@2.service")).run_hash == ran != (await it.status("a@2.service")).content_hash
            assert (await it.status("done.service")).sub == "exited"
            assert (await it.status("idle.service")).sub == "dead"
            assert len(it.processes()) == 5
            await it.again()
            assert await _pids(it) == before

    asyncio.run(main())


def test_an_adopted_unit_stops_restarts_and_comes_back_when_killed() -> None:
    async def main() -> None:
        async with daemon() as it:
            await it.start("a.service", service("ExecStart=/bin/sleep 1000\nRestart=on-failure\nRestartSec=0"))
            first = (await it.is_active("a.service")).main_pid
            await it.again()
            os.kill(first or 0, signal.SIGKILL)
            second = await it.becomes("a.service", lambda s: s.sub == "running" and s.main_pid != first)
            await it.again()
            await it.client.restart("a.service")
            third = await it.becomes("a.service", lambda s: s.sub == "running" and s.main_pid != second.main_pid)
            await it.shows({third.main_pid: "sleep"})
            await it.client.stop("a.service")
            assert (await it.is_over("a.service")).active is Active.INACTIVE
            assert not alive(third.main_pid)

    asyncio.run(main())


def test_the_orphans_of_an_adopted_unit_are_found_and_killed() -> None:
    async def main() -> None:
        async with daemon() as it:
            script = it.home / "script"
            script.write_text(
                "(setsid sh -c 'echo escaped; exec sleep 1000' &)\n"
                "trap '' HUP\necho up\nwhile [ ! -e go ]; do sleep 0.02; done\n"
                "(setsid sh -c 'echo escaped later; exec sleep 1000' &)\nexec sleep 1000\n"
            )
            await it.start("a.service", service(f"WorkingDirectory={it.home}\nExecStart=/bin/sh {script}"))
            await it.said("a.service", "escaped")
            await it.again()
            (it.home / "go").touch()
            await it.said("a.service", "escaped later")
            await it.are(3)
            await it.client.stop("a.service")
            await it.is_over("a.service")
            assert it.processes() == {}

    asyncio.run(main())


def test_a_death_that_nobody_saw_is_unknown_and_counts_as_a_failure() -> None:
    async def main() -> None:
        async with daemon() as it:
            await it.start("stays.service", SLEEP)
            await it.start("back.service", service("ExecStart=/bin/sleep 1000\nRestart=on-failure\nRestartSec=0"))
            pids = await _pids(it)
            await it.kill()
            for pid in pids.values():
                os.kill(pid or 0, signal.SIGTERM)
                await until(partial(_dead, pid), f"process {pid} ends")
            await it.begin()
            status = await it.is_over("stays.service")
            assert (status.active, status.result, status.exit_status) == (Active.FAILED, "unknown", None)
            assert "unknown" in (status.message or "")
            again = await it.is_active("back.service")
            assert again.main_pid != pids["back.service"]

    asyncio.run(main())


def test_killed_amid_start_pre_the_start_is_brought_to_its_end() -> None:
    """The command that ran is waited for; how it ended cannot be seen, so the start begins anew, once."""

    async def main() -> None:
        async with daemon() as it:
            go, runs = it.home / "go", it.home / "runs"
            pre = f"ExecStartPre=/bin/sh -c 'echo run >> {runs}; while [ ! -e {go} ]; do sleep 0.02; done'"
            await it.start("a.service", service(f"{pre}\nExecStart=/bin/sleep 1000"))
            await until(runs.exists, "the command runs")
            await it.again()
            assert (await it.status("a.service")).sub == "start-pre"
            assert runs.read_text() == "run\n"
            go.touch()
            await it.is_active("a.service")
            assert runs.read_text() == "run\nrun\n"

    asyncio.run(main())


def test_killed_amid_a_stop_the_stop_is_brought_to_its_end() -> None:
    async def main() -> None:
        async with daemon() as it:
            deaf = 'trap "" TERM; echo deaf; while :; do sleep 1000; done'
            text = service(f"ExecStart=/bin/sh -c '{deaf}'\nTimeoutStopSec=1\nExecStopPost=/bin/echo post")
            await it.start("a.service", text)
            await it.said("a.service", "deaf")
            await it.client.stop("a.service")
            await it.again()
            assert (await it.status("a.service")).sub == "stop-sigterm"
            over = await it.is_over("a.service")
            assert over.result == "timeout"
            assert it.processes() == {}
            assert "post" in await it.journal("a.service")

    asyncio.run(main())


def test_a_restart_that_waits_goes_on_waiting_for_the_rest_of_its_time() -> None:
    async def main() -> None:
        async with daemon() as it:
            for name, seconds in (("a.service", 1), ("long.service", 1000)):
                await it.start(name, service(f"ExecStart=/bin/false\nRestart=always\nRestartSec={seconds}"))
            for name in ("a.service", "long.service"):
                await it.becomes(name, lambda s: s.sub == "auto-restart")
            await it.kill()
            starts = _starts(it, "a.service")
            await it.begin()
            assert (await it.status("long.service")).sub == "auto-restart"

            async def started_again() -> bool:
                return _starts(it, "a.service") > starts

            await aeventually(started_again, within_s=WITHIN_S, what="another start")

    asyncio.run(main())


def _starts(it: Daemon, name: str) -> int:
    """How often the unit was started, by its journal, which is there without a daemon too."""
    return (it.home / "d" / "journal" / name / "current").read_text(errors="replace").count("starting")


def test_units_keep_writing_while_there_is_no_supervisor() -> None:
    async def main() -> None:
        async with daemon() as it:
            script = it.home / "script"
            script.write_text(f"i=0\nwhile [ ! -e {it.home}/end ]; do i=$((i+1)); echo line $i; done\necho last $i\n")
            await it.start("a.service", service(f"ExecStart=/bin/sh {script}"))
            await it.said("a.service", "line")
            await it.kill()
            pid = next(iter(it.processes()))
            (it.home / "end").touch()
            await until(partial(_dead, pid), f"process {pid} ends")
            await it.begin()
            await it.said("a.service", "last")
            numbers = [int(line.split()[1]) for line in await it.journal("a.service", 10**9) if line.startswith("line")]
            assert numbers == list(range(1, len(numbers) + 1))

    asyncio.run(main())


def test_killed_again_and_again_under_work_nothing_is_doubled_or_lost() -> None:
    """Kills fall anywhere: between fork, record and release too. Afterwards every unit is as it should be."""

    async def main() -> None:
        async with daemon() as it:
            text = service("ExecStartPre=/bin/true\nExecStart=/bin/sleep 1000", unit="StartLimitBurst=0")
            names = [f"a@{number}.service" for number in range(8)]
            for name in names:
                await it.client.load(name, text)
            for round_ in range(6):
                async with asyncio.TaskGroup() as group:
                    for name in names:
                        group.create_task(_asked_while_it_dies(it, name, round_))
                    await asyncio.sleep(0.004 * round_)
                    await it.kill()
                await it.begin()
            for name in names:
                await it.client.start(name)
            for name in names:
                await it.is_active(name)
            pids = await _pids(it)
            assert sorted(pid for pid in pids.values() if pid) == sorted(it.processes())

    asyncio.run(main())


async def _asked_while_it_dies(it: Daemon, name: str, round_: int) -> None:
    try:
        if round_ % 2:
            await it.client.restart(name)
        else:
            await it.client.start(name)
    except Unavailable:
        return


def test_a_boot_starts_the_hosts_own_units_in_order_and_nothing_else() -> None:
    async def main() -> None:
        async with daemon(begin=False) as it:
            log = it.home / "order"

            def own(name: str, unit: str = "", sleep: str = "0") -> None:
                text = (
                    f"Type=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c 'sleep {sleep}; echo +{name} >> {log}'\n"
                )
                (it.system_units / f"{name}.service").write_text(
                    service(text + f"ExecStop=/bin/sh -c 'echo -{name} >> {log}'", unit=unit)
                )

            own("c", "After=b.service\nRequires=b.service")
            own("b", "After=a.service\nWants=a.service")
            own("a", sleep="0.2")
            await it.begin()
            await it.is_active("c.service")
            assert log.read_text().split() == ["+a", "+b", "+c"]
            await it.start(
                "later.service", service(f"ExecStart=/bin/sleep 1000\nExecStopPost=/bin/sh -c 'echo -later >> {log}'")
            )
            assert {name: status.system for name, status in (await it.client.states()).items()} == {
                "a.service": True,
                "b.service": True,
                "c.service": True,
                "later.service": False,
            }
            await it.again()
            assert log.read_text().split() == ["+a", "+b", "+c"]
            assert await it.end() == 0
            assert log.read_text().split() == ["+a", "+b", "+c", "-later", "-c", "-b", "-a"]
            await it.begin()
            assert set(await it.client.states()) == {"a.service", "b.service", "c.service"}
            await it.is_active("c.service")

    asyncio.run(main())


def test_a_unit_that_needs_a_failed_one_says_so() -> None:
    async def main() -> None:
        async with daemon() as it:
            await it.client.load("a.service", service("Type=oneshot\nExecStart=/bin/false"))
            await it.start(
                "b.service", service("ExecStart=/bin/sleep 1000", unit="Requires=a.service\nAfter=a.service")
            )
            over = await it.becomes("b.service", lambda s: s.active is Active.FAILED)
            assert over.result == "dependency"
            assert "a.service" in (over.message or "")
            await it.start("c.service", service("ExecStart=/bin/sleep 1000", unit="Requires=none.service"))
            assert "none.service" in ((await it.status("c.service")).message or "")

    asyncio.run(main())


def test_a_bound_unit_stops_when_its_other_one_ends() -> None:
    async def main() -> None:
        async with daemon() as it:
            await it.client.load("a.service", SLEEP)
            await it.start("b.service", service("ExecStart=/bin/sleep 1000", unit="BindsTo=a.service\nAfter=a.service"))
            await it.is_active("b.service")
            os.kill((await it.status("a.service")).main_pid or 0, signal.SIGKILL)
            assert (await it.is_over("b.service")).active is Active.INACTIVE

    asyncio.run(main())


def test_the_way_out_has_a_deadline_and_leaves_nothing() -> None:
    async def main() -> None:
        async with daemon(begin=False) as it:
            it.stop_within_s = 0.5
            await it.begin()
            deaf = "ExecStart=/bin/sh -c 'trap \"\" TERM; echo deaf; while :; do sleep 1000; done'"
            await it.start("deaf.service", service(deaf))
            await it.start("a.service", SLEEP)
            await it.said("deaf.service", "deaf")
            assert await it.end() == 0
            assert it.processes() == {}

    asyncio.run(main())


def test_sigterm_to_the_daemon_stops_every_unit() -> None:
    async def main() -> None:
        async with daemon() as it:
            await it.start(
                "a.service",
                service("ExecStart=/bin/sleep 1000\nExecStopPost=/bin/touch stopped\nWorkingDirectory=" + str(it.home)),
            )
            assert it.process is not None
            it.process.terminate()
            assert await asyncio.to_thread(it.process.wait, WITHIN_S) == 0
            assert (it.home / "stopped").exists()
            assert it.processes() == {}

    asyncio.run(main())


def test_what_cannot_be_put_on_record_does_not_run() -> None:
    async def main() -> None:
        async with daemon(begin=False) as it:
            it.fault = FULL_DISK.format(home=it.home)
            await it.begin()
            await it.client.load("a.service", service(f"ExecStart=/usr/bin/touch {it.home}/ran"))
            (it.home / "full").touch()
            await it.client.start("a.service")
            over = await it.is_over("a.service")
            assert over.result == "resources"
            assert "record" in (over.message or "")
            assert not (it.home / "ran").exists()
            assert it.processes() == {}
            (it.home / "full").unlink()
            await it.client.start("a.service")
            await until((it.home / "ran").exists, "it runs when there is room again")

    asyncio.run(main())


def test_a_unit_whose_record_makes_no_sense_is_stopped_and_others_go_on() -> None:
    async def main() -> None:
        async with daemon() as it:
            script = it.home / "script"
            script.write_text("(setsid sh -c 'echo escaped; exec sleep 1000' &)\nexec sleep 1000\n")
            await it.start("lost.service", service(f"ExecStart=/bin/sh {script}"))
            await it.start("other.service", SLEEP)
            await it.said("lost.service", "escaped")
            other = (await it.status("other.service")).main_pid
            await it.kill()
            body = b"lost.service record {}"
            with (it.run / "records").open("ab") as file:
                file.write(b"%08x %s\n" % (crc32(body), body))
            await it.begin()
            over = await it.is_over("lost.service")
            assert (over.result, "record" in (over.message or "")) == ("unknown", True)
            assert list(it.processes()) == [other]
            await it.client.start("lost.service")
            await it.is_active("lost.service")

    asyncio.run(main())
