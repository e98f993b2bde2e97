"""An agent's server: who may do what there, commands run in units, and that nothing of them outlives anybody."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from inaetics.api.agents import RemoteAgents
from inaetics.errors import NotFound, Unavailable
from inaetics.fleet import keys, mapper
from inaetics.fleet.agent_server import AgentServer, may_act, mutual_tls
from inaetics.fleet.frames import Frame, Frames, Kind, command, encode
from inaetics.fleet.model import Desired, MachineId, Placement, UnitName
from inaetics.fleet.unit_commands import UnitCommands
from inaetics.store.fake import FakeStore
from inaetics.store.protocol import Put
from inaetics.units.container import ContainerEngine
from tests.support.etcd import Authority, free_subnet
from tests.support.eventually import aeventually
from tests.support.fake_supervisor import FakeSupervisor

MACHINE = MachineId("0123456789abcdef0123456789abcdef")
UNIT = "hello.service"
TEXT = "[Service]\nExecStart=/bin/sleep 1000\n"


@dataclass
class Site:
    """A machine's server, and certificates to come with."""

    address: str
    directory: Path
    supervisor: FakeSupervisor
    store: FakeStore

    def agents(self, name: str = "api") -> RemoteAgents:
        """The way to it for the holder of the certificate `name`."""
        return RemoteAgents(self.context(name))

    def context(self, name: str) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.directory / "ca.pem"))
        context.load_cert_chain(self.directory / f"{name}.pem", self.directory / f"{name}.key")
        return context

    async def run_unit(self, name: str = UNIT, text: str = TEXT) -> None:
        """Place and start a unit, as engine and agent do."""
        placement = Placement(
            unit=UnitName(name),
            machine=MACHINE,
            content_hash=mapper.content_hash(text),
            desired=Desired.LAUNCHED,
            reason="for the test",
            since=0.0,
        )
        file = Put(key=keys.file(placement.content_hash), value=mapper.file_value(text))
        await self.store.commit(
            [file, Put(key=keys.placement(MACHINE, placement.unit), value=mapper.placement_value(placement))]
        )
        await self.supervisor.load(name, text)
        await self.supervisor.start(name)

    async def exec(self, *words: str, stdin: bytes | None = None, unit: str = UNIT) -> list[Frame]:
        """Run a command to its end; returns every frame."""
        async with self.agents().open_exec(self.address, unit) as (reader, writer):
            writer.write(command(list(words), stdin=stdin is not None))
            if stdin is not None:
                writer.write((encode(Kind.STDIN, stdin) if stdin else b"") + encode(Kind.STDIN))
            return [frame async for frame in frames(reader)]


async def frames(reader: asyncio.StreamReader) -> AsyncIterator[Frame]:
    cut = Frames()
    while data := await reader.read(65536):
        for frame in cut.feed(data):
            yield frame


def said(found: list[Frame], kind: Kind) -> bytes:
    return b"".join(frame.payload for frame in found if frame.kind is kind)


def status(found: list[Frame]) -> int:
    assert found[-1].kind is Kind.EXIT, found
    answer = json.loads(found[-1].payload)["status"]
    assert isinstance(answer, int)
    return answer


@asynccontextmanager
async def site(directory: Path, *, engine_file: Path | None = None) -> AsyncIterator[Site]:
    address = f"{free_subnet()}.101"
    authority = Authority(directory)
    for name in ("api", "operator", "agent-worker-1"):
        authority.issue(directory / name, [name], [address])
    made = Site(address, directory, FakeSupervisor(), FakeStore())
    commands = UnitCommands(made.store, made.supervisor, MACHINE, engine_file=engine_file, environment=os.environ)
    context = mutual_tls(
        ca=directory / "ca.pem", cert=directory / "agent-worker-1.pem", key=directory / "agent-worker-1.key"
    )
    async with asyncio.TaskGroup() as group:
        server = group.create_task(AgentServer(made.supervisor, commands).run(address, context=context))
        await made.run_unit()
        await aeventually(lambda: _answers(made), within_s=10, what="the server answers")
        try:
            yield made
        finally:
            server.cancel()


async def _answers(made: Site) -> bool:
    try:
        await anext(made.agents().read(made.address, UNIT, lines=1, follow=False))
    except Unavailable:
        return False
    return True


def on_site(tmp_path: Path, body: Callable[[Site], Awaitable[None]]) -> None:
    async def main() -> None:
        async with site(tmp_path) as made:
            await body(made)

    asyncio.run(main())


def test_the_api_restarts_a_unit_and_is_told_how_old_its_state_was(tmp_path: Path) -> None:
    async def body(made: Site) -> None:
        before = (await made.supervisor.states())[UNIT]
        assert await made.agents().restart(made.address, UNIT) == before.since
        after = (await made.supervisor.states())[UNIT]
        assert after.since > before.since
        assert after.main_pid != before.main_pid

    on_site(tmp_path, body)


@pytest.mark.parametrize(
    ("common_name", "may"),
    [("api", True), ("api-worker-2", True), ("operator", True), ("agent-worker-1", False), ("viewer", False)],
)
def test_who_may_act(common_name: str, may: bool) -> None:
    assert may_act(common_name) is may
    assert not may_act(None)


def test_another_agent_may_read_journals_but_do_nothing(tmp_path: Path) -> None:
    async def body(made: Site) -> None:
        other = made.agents("agent-worker-1")
        assert await anext(other.read(made.address, UNIT, lines=1, follow=False)) == b""
        with pytest.raises(Unavailable, match=r"403.*'agent-worker-1'"):
            await other.restart(made.address, UNIT)
        with pytest.raises(Unavailable, match="403"):
            async with other.open_exec(made.address, UNIT):
                pass
        assert ("restart", UNIT) not in made.supervisor.calls

    on_site(tmp_path, body)


def test_what_is_not_the_fleets_is_not_touched(tmp_path: Path) -> None:
    async def body(made: Site) -> None:
        made.supervisor.add_system_unit("etcd.service")
        with pytest.raises(NotFound, match=r"no unit 'etcd.service'"):
            await made.agents().restart(made.address, "etcd.service")
        with pytest.raises(NotFound, match=r"no unit 'never.service'"):
            await made.agents().restart(made.address, "never.service")
        refused = await made.exec("true", unit="etcd.service")
        assert b"no unit 'etcd.service'" in said(refused, Kind.FAILED)

    on_site(tmp_path, body)


def test_a_command_s_output_errors_and_status_come_back(tmp_path: Path) -> None:
    async def body(made: Site) -> None:
        found = await made.exec("sh", "-c", "echo out; echo err >&2; exit 7")
        assert (said(found, Kind.STDOUT), said(found, Kind.STDERR), status(found)) == (b"out\n", b"err\n", 7)
        assert status(await made.exec("sh", "-c", "kill -9 $$")) == 137

    on_site(tmp_path, body)


def test_a_command_runs_as_its_unit_does(tmp_path: Path) -> None:
    async def body(made: Site) -> None:
        text = f"[Service]\nExecStart=/bin/sleep 9\nEnvironment=COLOUR=green NAME=%i\nWorkingDirectory={tmp_path}\n"
        await made.run_unit("felix@3.service", text)
        found = await made.exec("sh", "-c", "echo $COLOUR $NAME $PWD $NOTIFY_SOCKET", unit="felix@3.service")
        assert said(found, Kind.STDOUT) == f"green 3 {tmp_path}\n".encode()

    on_site(tmp_path, body)


def test_a_command_reads_what_the_client_sends(tmp_path: Path) -> None:
    async def body(made: Site) -> None:
        assert said(await made.exec("cat", stdin=b"hello"), Kind.STDOUT) == b"hello"
        assert said(await made.exec("cat", stdin=b""), Kind.STDOUT) == b""
        assert status(await made.exec("cat")) == 0, "without stdin there is nothing to wait for"

    on_site(tmp_path, body)


def test_a_command_in_a_container_ends_with_its_client(tmp_path: Path) -> None:
    """An engine runs the command for its client, as no child of it: this one does so too."""
    engine = tmp_path / "engine"
    script = """#!/bin/sh
        shift; case "$1" in --interactive) shift;; esac
        variable=${1#--env=}; container=$2; shift 2
        env "$variable" setsid sh -c 'echo $$; sleep 1000' & echo "in $container: $*"; wait
    """
    engine.write_text(script)
    engine.chmod(0o755)
    described = ContainerEngine(command=(str(engine),))
    (tmp_path / "engine.json").write_bytes(msgspec.json.encode(described))

    async def main() -> None:
        async with site(tmp_path, engine_file=tmp_path / "engine.json") as made:
            await made.run_unit("box@7.service", "[Container]\nImage=localhost/box\n")
            async with made.agents().open_exec(made.address, "box@7.service") as (reader, writer):
                writer.write(command(["ls", "-l"], stdin=False))
                text = b""
                async for frame in frames(reader):
                    text += frame.payload
                    if text.count(b"\n") == 2:
                        break
            lines = text.decode().splitlines()
            assert "in box-7: ls -l" in lines
            await _gone([int(line) for line in lines if line.isdigit()])

    asyncio.run(main())


@pytest.mark.parametrize(
    ("words", "why"),
    [
        pytest.param(["no-such-program"], "no such program", id="program"),
        pytest.param(["a\0b"], "NUL", id="nul"),
        pytest.param([""], "no command", id="empty"),
    ],
)
def test_what_cannot_be_run_says_why(tmp_path: Path, words: list[str], why: str) -> None:
    async def body(made: Site) -> None:
        assert why in said(await made.exec(*words), Kind.FAILED).decode()

    on_site(tmp_path, body)


def test_a_unit_that_does_not_run_is_refused(tmp_path: Path) -> None:
    async def body(made: Site) -> None:
        await made.supervisor.stop(UNIT)
        assert b"it is inactive" in said(await made.exec("true"), Kind.FAILED)

    on_site(tmp_path, body)


@pytest.mark.parametrize(
    "garbage", [b"z" * 5, b"c\xff\xff\xff\xff", encode(Kind.STDIN, b"x"), encode(Kind.COMMAND, b"{")]
)
def test_garbage_instead_of_a_command_is_refused(tmp_path: Path, garbage: bytes) -> None:
    async def body(made: Site) -> None:
        async with made.agents().open_exec(made.address, UNIT) as (reader, writer):
            writer.write(garbage)
            found = [frame async for frame in frames(reader)]
        assert [frame.kind for frame in found] == [Kind.FAILED]

    on_site(tmp_path, body)


def test_a_client_that_leaves_takes_its_command_with_it(tmp_path: Path) -> None:
    async def body(made: Site) -> None:
        async with made.agents().open_exec(made.address, UNIT) as (reader, writer):
            writer.write(command(["sh", "-c", "echo $$; sleep 1000 & echo $!; wait"], stdin=False))
            pids: list[int] = []
            async for frame in frames(reader):
                pids += map(int, frame.payload.split())
                if len(pids) == 2:
                    break
        await _gone(pids)

    on_site(tmp_path, body)


def test_what_a_command_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    async def body(made: Site) -> None:
        found = await made.exec("sh", "-c", "sleep 1000 & echo $!")
        assert status(found) == 0
        await _gone([int(said(found, Kind.STDOUT))])

    on_site(tmp_path, body)


def test_a_client_that_does_not_read_holds_up_its_own_command_only(tmp_path: Path) -> None:
    async def body(made: Site) -> None:
        counter = tmp_path / "written"
        counter.write_text("0")
        script = f"n=0; while :; do head -c 100000 /dev/zero; n=$((n+1)); echo $n > {counter}; done"
        async with made.agents().open_exec(made.address, UNIT) as (_, writer):
            writer.write(command(["sh", "-c", script], stdin=False))
            last = -1

            async def stands() -> bool:
                nonlocal last
                now, before = int(counter.read_text() or last), last
                last = now
                await asyncio.sleep(0.3)
                return now == before > 0

            await aeventually(stands, within_s=20, what="the command waits for its reader")
            assert last < 200, "what nobody reads must not be read from the command"
            assert status(await made.exec("true")) == 0

    on_site(tmp_path, body)


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (b"GARBAGE\r\n\r\n", b"400"),
        (b"GET /journal/hello HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /journal/hello.service?lines=x HTTP/1.1\r\n\r\n", b"400"),
        (b"GET //[ HTTP/1.1\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n\r\n", b"404"),
        (b"DELETE /journal/hello.service HTTP/1.1\r\n\r\n", b"404"),
        (b"POST /exec/hello.service HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /journal/hello.service HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", b"400"),
    ],
)
def test_requests_that_make_no_sense_are_refused(tmp_path: Path, request_: bytes, code: bytes) -> None:
    async def body(made: Site) -> None:
        reader, writer = await asyncio.open_connection(made.address, 49154, ssl=made.context("api"))
        writer.write(request_)
        answer = await reader.read()
        writer.close()
        assert answer.startswith(b"HTTP/1.1 " + code), answer

    on_site(tmp_path, body)


def test_a_silent_supervisor_is_told(tmp_path: Path) -> None:
    async def body(made: Site) -> None:
        with made.supervisor.outage(), pytest.raises(Unavailable, match="503"):
            await made.agents().restart(made.address, UNIT)

    on_site(tmp_path, body)


async def _gone(pids: list[int]) -> None:
    async def check() -> bool:
        return not any(_alive(pid) for pid in pids)

    await aeventually(check, within_s=10, what=f"processes {pids} have ended")


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
