"""The control socket: what clients may ask for, and what they cannot spoil."""

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
from inaetics.supervisor.client import EmbeddedSupervisor
from inaetics.supervisor.protocol import UnitGone
from tests.component.supervisor.daemon import WITHIN_S, Daemon, borrowed, daemon, service

SLEEP = service("ExecStart=/bin/sleep 1000")


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
            async with asyncio.timeout(WITHIN_S):
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


def test_requests_on_one_connection_are_answered_in_order(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            reader, writer = await asyncio.open_unix_connection(it.socket)
            writer.write(b'{"op":"start","name":"none.service"}\n{"op":"ping"}\n{"op":"dance"}\n{"op":"states"}\n')
            answers = [await reader.readline() for _ in range(4)]
            words = (b'"NotFound"', b'"pid":%d' % it.pid, b'"InvalidInput"', b'"end":true')
            assert [word in answer for word, answer in zip(words, answers, strict=True)] == [True] * 4
            writer.close()

    asyncio.run(main())


def test_calls_that_overlap_are_all_told_when_the_daemon_goes() -> None:
    async def main() -> None:
        async with daemon() as it:
            os.kill(it.pid, signal.SIGSTOP)
            calls = [asyncio.create_task(it.client.ping()) for _ in range(20)]  # noqa: TID251 - each ends below
            await asyncio.sleep(0.05)
            await it.kill()
            for call in calls:
                with pytest.raises(Unavailable):
                    await call
            await it.begin()
            assert await it.client.ping() == it.pid

    asyncio.run(main())
