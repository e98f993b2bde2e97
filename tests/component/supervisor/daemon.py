"""A real supervisor's daemon in a directory of its own, and words to say what is expected of it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from inaetics.errors import Unavailable
from inaetics.supervisor import procfs
from inaetics.supervisor.cgroups import remove_groups
from inaetics.supervisor.client import EmbeddedSupervisor
from inaetics.supervisor.protocol import Active, UnitStatus
from tests.support.eventually import aeventually

WITHIN_S = 30.0
"""Long, because only a failure ever takes it: these tests share their machine."""

OPEN_FILES = 600
"""The limit the daemon is started with; it raises its own, and its units have this one."""


class Daemon:
    """One daemon at a time over the same directories; it may be killed and started again."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.identity = uuid.uuid4().hex
        self.run = home / "r"
        self.socket = home / "s"
        self.environment_file = home / "env"
        self.environment_file.write_text("INAETICS_HOST=worker-1\nINAETICS_MACHINE_ID=0123\nSHARED=host\n")
        self.system_units = home / "u"
        self.system_units.mkdir()
        self.client = EmbeddedSupervisor(self.socket)
        self.process: subprocess.Popen[bytes] | None = None
        self.stop_within_s = 10.0
        self.fault = ""
        """Python that the next daemon runs in itself before it begins."""

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    async def begin(self) -> None:
        """Start the daemon and wait until it answers."""
        command = ["/bin/sh", "-c", f'ulimit -Sn {OPEN_FILES}; exec "$@"', "sh"]
        program = ["-c", f"{self.fault}\nimport sys\nfrom inaetics.supervisor.__main__ import main\nsys.exit(main())"]
        command += [sys.executable, *(program if self.fault else ["-m", "inaetics.supervisor"])]
        command += ["--directory", str(self.home / "d")]
        command += ["--run-directory", str(self.run), "--socket", str(self.socket), "--units", str(self.system_units)]
        command += ["--environment-file", str(self.environment_file), "--stop-within", str(self.stop_within_s)]
        log = os.open(self.home / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            environment = {**os.environ, "INAETICS_SUPERVISED": self.identity}
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)  # noqa: ASYNC220 - quick
        finally:
            os.close(log)
        await aeventually(self._answers, within_s=WITHIN_S, what="the daemon answers")

    async def kill(self) -> None:
        """kill -9 the daemon, and only the daemon."""
        assert self.process is not None
        self.process.kill()
        await asyncio.to_thread(self.process.wait)

    async def again(self) -> None:
        """kill -9 and start on the same directories."""
        await self.kill()
        await self.begin()

    async def end(self) -> int:
        """Ask the daemon to end and return its exit status."""
        assert self.process is not None
        async with asyncio.timeout(3 * WITHIN_S):
            await self.client.shutdown()
        return await asyncio.to_thread(self.process.wait, WITHIN_S)

    async def start(self, name: str, text: str) -> None:
        """Load and start."""
        await self.client.load(name, text)
        await self.client.start(name)

    async def status(self, name: str) -> UnitStatus:
        """Return the unit's status now."""
        return (await self.client.states())[name]

    async def becomes(self, name: str, expected: Callable[[UnitStatus], bool]) -> UnitStatus:
        """Wait, by watching, until the unit's status is as expected, and return it."""
        last: UnitStatus | None = None
        with suppress(TimeoutError):
            async with asyncio.timeout(WITHIN_S):
                async for change in self.client.watch():
                    if isinstance(change, UnitStatus) and change.name == name:
                        last = change
                        if expected(change):
                            return change
        raise AssertionError(f"{name} did not become what it should: {last}; log: {self.log()}")

    async def is_active(self, name: str) -> UnitStatus:
        """Wait until the unit is active."""
        return await self.becomes(name, lambda status: status.active is Active.ACTIVE)

    async def is_over(self, name: str) -> UnitStatus:
        """Wait until the unit is inactive or failed."""
        return await self.becomes(name, lambda status: status.active in (Active.INACTIVE, Active.FAILED))

    async def is_gone(self, name: str) -> None:
        """Wait until the unit is forgotten."""

        async def look() -> bool:
            return name not in await self.client.states()

        await aeventually(look, within_s=WITHIN_S, what=f"{name} is forgotten")

    async def journal(self, name: str, lines: int = 100) -> list[str]:
        """Return the unit's last lines."""
        return [line async for line in self.client.journal(name, lines=lines)]

    async def said(self, name: str, word: str) -> str:
        """Wait until a line of the journal contains `word`, and return that line."""

        async def look() -> str:
            return next((line for line in await self.journal(name) if word in line), "")

        return await aeventually(look, within_s=WITHIN_S, what=f"{name} says {word!r}")

    def processes(self) -> dict[int, str]:
        """Return what lives of all this daemon, or one before it, started: command lines by pid."""
        needle = f"INAETICS_SUPERVISED={self.identity}".encode()
        found = {}
        for pid in procfs.all_pids():
            with suppress(OSError):
                if needle in procfs.environment(pid) and pid != self.process_pid():
                    found[pid] = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        return found

    async def are(self, count: int) -> None:
        """Wait until so many processes are there: a subshell that has made another may end a moment after it."""
        await until(lambda: len(self.processes()) == count, f"there are {count} processes")

    async def shows(self, expected: Mapping[int | None, str]) -> None:
        """Wait until `processes` are these, each with its word: one that was just made shows a moment later."""

        async def as_expected() -> bool:
            lines = self.processes()
            return lines.keys() == expected.keys() and all(word in lines[pid or 0] for pid, word in expected.items())

        await aeventually(as_expected, within_s=WITHIN_S, what=f"the processes are {dict(expected)}")

    def process_pid(self) -> int | None:
        """Return the daemon's pid while it runs."""
        return self.process.pid if self.process is not None and self.process.poll() is None else None

    def log(self) -> str:
        """Return the end of the daemon's log."""
        return (self.home / "log").read_text()[-3000:]

    async def _answers(self) -> bool:
        if self.process is None or self.process.poll() is not None:
            raise RuntimeError(f"the daemon ended: {self.log()}")
        try:
            return await self.client.ping() == self.process.pid
        except Unavailable:
            return False


@asynccontextmanager
async def daemon(*, begin: bool = True) -> AsyncIterator[Daemon]:
    """Yield a running daemon; afterwards it is shut down, and a process that is left fails the test."""
    home = Path(tempfile.mkdtemp(prefix="sv"))  # sockets' paths are short
    it = Daemon(home)
    try:
        if begin:
            await it.begin()
        yield it
        if it.process_pid() is not None:
            assert await it.end() == 0, it.log()
        assert not it.processes()
    finally:
        if it.process_pid() is not None:
            await it.kill()
        for pid in it.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        remove_groups(home / "d")
        shutil.rmtree(home)


@asynccontextmanager
async def borrowed(it: Daemon) -> AsyncIterator[Daemon]:
    """Yield a daemon that others use too; afterwards its units and journals are gone, and a process left fails."""
    try:
        yield it
    finally:
        for name in await it.client.states():
            await it.client.unload(name)
        for name in await it.client.states():
            await it.is_gone(name)
        shutil.rmtree(it.home / "d" / "journal", ignore_errors=True)
    assert not it.processes()


async def until(check: Callable[[], bool], what: str) -> None:
    """Wait until `check` holds."""

    async def look() -> bool:
        return check()

    await aeventually(look, within_s=WITHIN_S, what=what)


def alive(pid: int | None) -> bool:
    """Return whether a process lives under this number."""
    return pid is not None and procfs.identify(pid) is not None


def service(text: str, *, unit: str = "") -> str:
    """Return a unit file with these lines in [Service], and in [Unit]."""
    return f"[Unit]\n{unit}\n[Service]\n{text}\n"
