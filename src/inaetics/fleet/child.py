"""A child process whose end is seen at once, whoever still holds its pipes.

asyncio's own tells the end of a process only when its pipes are closed too, which a process left in the background
keeps open for ever; and it needs a thread for each. This one waits on the kernel's handle of the process.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import IO

from inaetics.fleet.unit_commands import TAG, Launch
from inaetics.supervisor import procfs

_BUFFER_BYTES = 32 * 1024


class Child:
    """Use `running`."""

    def __init__(self, process: subprocess.Popen[bytes], stdout: asyncio.StreamReader, stderr: asyncio.StreamReader):
        self._process = process
        self.stdout = stdout
        self.stderr = stderr

    async def ended(self) -> int:
        """Wait for its end; returns its status, negative for a signal."""
        handle = os.pidfd_open(self._process.pid)
        try:
            await _ready(handle, writing=False)
        finally:
            os.close(handle)
        # It is reaped last (`_end`): until then its number, which names its session, is nobody else's.
        found = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222 - it has ended
        assert found is not None, "without WNOHANG there is always an answer"
        return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status

    async def give(self, data: bytes) -> None:
        """Write `data` to its input, waiting while it does not read; nothing is the input's end.

        What it does not want to read any more is dropped.
        """
        pipe = self._process.stdin
        if pipe is None or pipe.closed:
            return
        if not data:
            pipe.close()
            return
        with suppress(BrokenPipeError):
            while data:
                try:
                    data = data[os.write(pipe.fileno(), data) :]
                except BlockingIOError:
                    await _ready(pipe.fileno(), writing=True)


@asynccontextmanager
async def running(launch: Launch, *, stdin: bool) -> AsyncIterator[Child]:
    """Run `launch` in a session of its own for the block; what is left of the session at its end is killed.

    Raises `OSError` when it cannot be run.
    """
    async with AsyncExitStack() as stack:
        process = _popen(launch, stdin=stdin)
        if launch.tag:
            stack.callback(_end_tagged, launch.tag)
        stack.callback(_end, process)
        assert process.stdout is not None
        assert process.stderr is not None
        if process.stdin is not None:
            os.set_blocking(process.stdin.fileno(), False)
        child = Child(process, await _reader(process.stdout, stack), await _reader(process.stderr, stack))
        yield child


def _popen(launch: Launch, *, stdin: bool) -> subprocess.Popen[bytes]:
    account = launch.account
    return subprocess.Popen(
        launch.argv,
        env=launch.environment,
        cwd=launch.directory,
        stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        start_new_session=True,
        umask=launch.umask,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=account.groups if account else None,
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the session; the child is reaped here, and nothing of it is waited for longer than the kernel needs."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin is not None:
        process.stdin.close()


def _end_tagged(tag: str) -> None:
    """Kill what an engine runs for a command: it is no child of ours, and ends not with its engine's client."""
    wanted = f"{TAG}={tag}".encode()
    for pid in procfs.all_pids():
        if wanted in procfs.environment(pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


async def _reader(pipe: IO[bytes], stack: AsyncExitStack) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=_BUFFER_BYTES)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    stack.callback(transport.close)
    return reader


async def _ready(descriptor: int, *, writing: bool) -> None:
    """Wait until the descriptor can be read from, or written to."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    add: Callable[..., None] = loop.add_writer if writing else loop.add_reader
    remove: Callable[[int], bool] = loop.remove_writer if writing else loop.remove_reader
    add(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        remove(descriptor)
