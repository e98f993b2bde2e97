"""What a unit's processes say to their supervisor, over a real socket."""

from __future__ import annotations

import asyncio
import os
import signal

from tests.component.supervisor.daemon import Daemon, borrowed, service

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


def test_what_a_command_said_last_is_told_with_its_failure(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            script = it.home / "n.py"
            script.write_text(READY + "say('STATUS=the image is nowhere')\ntime.sleep(0.5)\nsys.exit(1)\n")
            run = f"/usr/bin/env python3 -S -E {script}"
            text = service(f"NotifyAccess=all\nExecStartPre={run}\nExecStart=/bin/true")
            await it.start("a.service", text)
            failed = await it.becomes("a.service", lambda s: s.sub == "failed")
            assert failed.message is not None
            assert failed.message.endswith("exited with status 1; it said last: the image is nowhere")
            await it.start("a.service", service("ExecStart=/bin/false"))
            words = "the main process exited with status 1"  # another start, other words
            await it.becomes("a.service", lambda s: (s.sub, s.message) == ("failed", words))

    asyncio.run(main())


def test_notify_extends_its_time(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            script = it.home / "n.py"
            script.write_text(
                READY + "say('EXTEND_TIMEOUT_USEC=30000000')\ntime.sleep(4.5)\nsay('READY=1')\ntime.sleep(1000)\n"
            )
            text = service(f"Type=notify\nTimeoutStartSec=4\nExecStart=/usr/bin/env python3 -S -E {script}")
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
