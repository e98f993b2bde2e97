"""The order in which a unit's processes are believed."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inaetics.supervisor import procfs
from inaetics.supervisor.bounds import Bounds
from inaetics.supervisor.cgroups import Groups
from inaetics.supervisor.directories import Places
from inaetics.supervisor.environment import HostEnvironment
from inaetics.supervisor.journal import Journals
from inaetics.supervisor.launcher import Launcher
from inaetics.supervisor.members import Members
from inaetics.supervisor.processes import Processes, Tools
from inaetics.supervisor.reaper import Reaper
from inaetics.supervisor.records import Record
from inaetics.supervisor.values import Commands, Event, Exit, How, MainAnnounced, MainExited, Role, Spawn, State
from inaetics.units.command import Command
from inaetics.units.service_model import NotifyAccess, ServiceSpec, ServiceType


@contextmanager
def _processes(directory: Path, events: list[Event]) -> Iterator[tuple[Processes, Tools]]:
    reaper = Reaper()
    journals = Journals(directory / "journal")
    bounds = Bounds(journals)
    groups = Groups(())
    places = Places(lasting=str(directory), runtime=str(directory))
    tools = Tools(
        reaper=reaper,
        members=Members("run", known=reaper.known, groups=groups),
        journals=journals,
        bounds=bounds,
        launcher=Launcher(
            journals=journals, host=HostEnvironment(None, places), open_files=(1024, 1024), places=places
        ),
        notify_directory=directory,
        groups=groups,
    )
    processes = Processes("a.service", tools, lambda *happened: events.extend(happened))
    try:
        yield processes, tools
    finally:
        processes.clear()
        bounds.close()
        reaper.close()


def _say(directory: Path, text: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        address = next(path for path in directory.iterdir() if path.is_socket())
        sock.sendto(text.encode(), str(address))


def _sleeper() -> procfs.Process:
    process = procfs.identify(os.posix_spawn("/bin/sleep", ["sleep", "1000"], {}))
    assert process is not None
    return process


def _kill(pid: int) -> None:
    """Kill a child and leave it to be waited for."""
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


SPEC = ServiceSpec(
    name="a.service",
    type=ServiceType.NOTIFY,
    notify_access=NotifyAccess.ALL,
    exec_start=(Command(argv=("/bin/sleep", "1000")),),
)


def test_what_a_process_said_counts_before_its_end(tmp_path: Path) -> None:
    """It names another main process and ends at once: then the service did not end, whichever is seen first."""

    async def main() -> None:
        events: list[Event] = []
        with _processes(tmp_path, events) as (processes, tools):
            other = _sleeper()
            processes.spawn(SPEC, State(), Spawn(Role.MAIN, Commands.START, 0))
            assert processes.main is not None
            _say(tmp_path, f"MAINPID={other.pid}")
            _kill(processes.main.pid)
            tools.reaper.reap()  # before the loop had a chance to read the message
            assert events == [MainAnnounced()]
            assert processes.main == other
            _kill(other.pid)
            tools.reaper.reap()
            assert events[1:] == [MainExited(Exit(how=How.KILLED, status=signal.SIGKILL))]

    asyncio.run(main())


def test_a_number_that_was_used_again_is_not_the_process_on_record(tmp_path: Path) -> None:
    async def main() -> None:
        with _processes(tmp_path, []) as (processes, _tools):
            mine = procfs.identify(os.getpid())
            assert mine is not None
            missed = processes.adopt(
                SPEC, State(), Record(state=State(), main=procfs.Process(mine.pid, mine.started - 1))
            )
            assert [type(event) for event in missed] == [MainExited]

    asyncio.run(main())
