"""The supervisor's daemon: puts the parts together, boots or adopts, serves, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import fcntl
import gc
import os
import resource
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import structlog

from inaetics.errors import Conflict
from inaetics.notify import notify
from inaetics.supervisor import linux
from inaetics.supervisor.bounds import Bounds
from inaetics.supervisor.cgroups import open_groups
from inaetics.supervisor.directories import Places
from inaetics.supervisor.environment import HostEnvironment
from inaetics.supervisor.feeds import Feed
from inaetics.supervisor.journal import Journals
from inaetics.supervisor.launcher import Launcher
from inaetics.supervisor.manager import Manager
from inaetics.supervisor.members import Members
from inaetics.supervisor.processes import Tools
from inaetics.supervisor.reaper import Reaper
from inaetics.supervisor.records import Records
from inaetics.supervisor.server import Server
from inaetics.tasks import TaskGroup

_log = structlog.get_logger()

_LOCK_WITHIN_S = 3.0
_KILL_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where a supervisor lives and what it starts by itself."""

    directory: Path
    """What lasts: the journals."""
    run_directory: Path
    """What a boot forgets: records and sockets of units. Empty: the host was booted."""
    socket: Path
    """The control socket; its owner's only."""
    environment_file: Path | None = None
    """The host's environment, the default of every unit's; read at each start."""
    units: Path | None = None
    """The folder of the host's own units, which a boot starts."""
    stop_within_s: float = 30.0
    """How long the way out may take, all units together, before what is left is killed."""


async def supervise(settings: Settings) -> None:
    """Run until asked to end; then every unit has been stopped. Raises `Conflict` when another one is here."""
    notify_directory = settings.run_directory / "notify"
    notify_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = await _lock(settings.run_directory / "lock")
    linux.become_subreaper()
    open_files = _take_open_files()
    records = Records(settings.run_directory)
    previous = records.previous_run()
    if previous is not None:
        records.go_on()
    run = previous if previous is not None else records.begin_run()
    reaper = Reaper()
    groups = open_groups(settings.directory, run, again=previous is not None)
    _log.info("control groups", found=groups.describe())
    members = Members(run, known=reaper.known, groups=groups)
    journals = Journals(settings.directory / "journal")
    places = Places(lasting=str(settings.directory), runtime=str(settings.run_directory))
    host = HostEnvironment(settings.environment_file, places)
    launcher = Launcher(journals=journals, host=host, open_files=open_files, places=places)
    bounds = Bounds(journals)
    tools = Tools(
        reaper=reaper,
        members=members,
        journals=journals,
        bounds=bounds,
        launcher=launcher,
        notify_directory=notify_directory,
        groups=groups,
    )
    feed = Feed()
    manager = Manager(records, tools, feed.changed)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    gc.freeze()  # what is there now stays: forked children need not copy its pages
    try:
        _begin(settings, manager, records, run, previous)
        journals.prune(manager.units)
        async with TaskGroup() as group:
            server = Server(manager, journals, feed, stop.set)
            serving = group.create_task(server.serve(settings.socket), name="control socket")
            notify("READY=1")
            await stop.wait()
            await _end(settings, manager, members)
            records.clear()
            groups.close()
            settings.socket.unlink(missing_ok=True)
            serving.cancel()
    finally:
        manager.deadline.close()
        bounds.close()
        reaper.close()
        records.close()
        os.close(lock)


def _begin(settings: Settings, manager: Manager, records: Records, run: str, previous: str | None) -> None:
    if previous is not None:
        manager.adopt()
        _log.info("restarted", run=run, units=len(manager.units))
    if settings.units is not None:
        manager.load_system_units(settings.units)
    if previous is None:
        manager.queue_system_units()
        records.commit_run(run)
        _log.info("booted", run=run, units=len(manager.units))
    manager.advance()


async def _end(settings: Settings, manager: Manager, members: Members) -> None:
    """Stop everything in order; what is not done in time, and whatever else was left, is killed."""
    _log.info("stopping all units", units=len(manager.units))
    try:
        async with asyncio.timeout(settings.stop_within_s):
            await manager.stop_all()
    except TimeoutError:
        late = [unit.name for unit in manager.units.values() if not unit.is_over]
        _log.warning("units did not stop in time", units=late, within_s=settings.stop_within_s)
    end = time.monotonic() + _KILL_WITHIN_S
    while left := members.everyone():
        _log.warning("killing what was left", processes=[process.pid for process in left])
        for process in left:
            try:
                os.kill(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if time.monotonic() > end:
            _log.error("processes survive SIGKILL", processes=[process.pid for process in left])
            return
        await asyncio.sleep(0.02)


async def _lock(path: Path) -> int:
    """Take the run directory; a child of a supervisor just killed may hold the lock for a moment longer."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    end = time.monotonic() + _LOCK_WITHIN_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > end:
                other = os.pread(fd, 20, 0).decode() or "unknown"
                os.close(fd)
                raise Conflict(f"cannot supervise {path.parent}: process {other} does already") from error
            await asyncio.sleep(0.02)
        else:
            os.ftruncate(fd, 0)
            os.pwrite(fd, str(os.getpid()).encode(), 0)
            return fd


def _take_open_files() -> tuple[int, int]:
    """Allow this process as many open files as it may have (adopted processes take one each); return the old limit."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    return before
