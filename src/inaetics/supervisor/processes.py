"""The processes of one unit: makes them, signals them, finds what they left, and reports what they do as events."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import structlog

from inaetics.supervisor import procfs
from inaetics.supervisor.bounds import Bounds
from inaetics.supervisor.cgroups import Groups, Place
from inaetics.supervisor.journal import Journals
from inaetics.supervisor.launcher import Launcher
from inaetics.supervisor.members import Members
from inaetics.supervisor.notify_socket import NotifySocket, Sender
from inaetics.supervisor.oom import OomWatch
from inaetics.supervisor.phases import commands_of
from inaetics.supervisor.policy import signal_name
from inaetics.supervisor.procfs import MARKER, SPAWN, Process
from inaetics.supervisor.reaper import UNKNOWN, Reaper
from inaetics.supervisor.records import Record, Spawning
from inaetics.supervisor.values import (
    Commands,
    ControlExited,
    Event,
    Executed,
    Exit,
    Extended,
    GroupEmpty,
    How,
    Kill,
    MainAnnounced,
    MainExited,
    OomKilled,
    Ready,
    Result,
    Role,
    Spawn,
    State,
    StatusSaid,
    Stopping,
    WatchdogTimedOut,
)
from inaetics.supervisor.watchdog import Watchdog
from inaetics.units.service_model import NotifyAccess, ServiceSpec, ServiceType

_log = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class Tools:
    """What all units share."""

    reaper: Reaper
    members: Members
    journals: Journals
    bounds: Bounds
    launcher: Launcher
    notify_directory: Path
    groups: Groups


_MAX_STATUS = 500


class Report(Protocol):
    """Takes events that happened together, in order."""

    def __call__(self, *events: Event) -> None:
        """Let them happen."""


class Processes:
    """The processes of `unit`. `report` takes events; it is never called from within a call into this object."""

    def __init__(self, unit: str, tools: Tools, report: Report) -> None:
        self._unit = unit
        self._tools = tools
        self._report = report
        self._others: set[Process] = set()
        self._notify: NotifySocket | None = None
        self._kill: Kill | None = None
        self._access = NotifyAccess.NONE
        self._checking = False
        self._watchdog = Watchdog(partial(report, WatchdogTimedOut()))
        self._place = Place()
        self._spec: ServiceSpec | None = None
        self._oom_watch: OomWatch | None = None
        self._oom_kills = 0
        self.main: Process | None = None
        self.control: Process | None = None
        self.invocation = ""
        self.spawning: Spawning | None = None
        self.status_text: str | None = None

    @property
    def unmet(self) -> tuple[str, ...]:
        """Which of the unit's limits are not kept on this host, and why."""
        return self._place.unmet

    def begin(self, spec: ServiceSpec) -> None:
        """Start afresh, with a new invocation id. Raises InaeticsError or OSError when a directory cannot be made."""
        self.clear(restarting=True)
        self.invocation = uuid.uuid4().hex
        self.status_text = None
        self._settle(spec)
        self._oom_kills = self._tools.groups.oom_kills(self._unit)
        self._tools.launcher.make_directories(spec)

    def _settle(self, spec: ServiceSpec) -> None:
        """Make the unit's control groups, and watch its memory where that is limited."""
        groups = self._tools.groups
        self._spec = spec
        self._place = groups.place(self._unit, spec.resources)
        path = groups.oom_file(self._unit) if spec.resources.memory_max is not None else None
        if path is not None:
            try:
                self._oom_watch = OomWatch(path, self._look_for_oom)
            except OSError as error:  # then it is noticed when a process that we know ends
                _log.warning("cannot watch a unit's memory", unit=self._unit, error=str(error))

    def announce(self, role: Role | None) -> None:
        """Say that a process is about to be made, or (None) that there is none about to be: for the record."""
        self.spawning = Spawning(role=role, token=uuid.uuid4().hex) if role is not None else None

    def spawn(self, spec: ServiceSpec, state: State, action: Spawn) -> bool:
        """Make the command's process, which was announced; return whether it is to be told that it runs already.

        Raises InaeticsError or OSError, and then there is none.
        """
        self._kill = None  # what was signalled before does not concern what is started now
        tell = action.role is Role.MAIN and spec.type is ServiceType.EXEC
        command = commands_of(spec, action.commands)[action.index]
        self._listen(spec)
        child = self._tools.launcher.launch(
            spec, command, self._variables(spec, state, action), place=self._place, tell_executed=tell
        )
        seen = procfs.stat(child.pid)
        if seen is None:  # cannot be: nobody else waits for our children
            raise OSError(f"process {child.pid} vanished")
        self._tools.reaper.expect(seen.process, self._ended)
        if action.role is Role.MAIN:
            self.main = seen.process
        else:
            self.control = seen.process
        if child.executed is not None:
            asyncio.get_running_loop().add_reader(child.executed, self._executed, child.executed)
        return child.ran and tell

    def targets(self, kill: Kill) -> set[Process]:
        """Return the living processes that a Kill means."""
        named = {self.main} if kill.main else set()
        if kill.control:
            named.add(self.control)
        roots = {process for process in named if process is not None}
        if kill.group:
            return self._tools.members.of(self._unit, roots | self._others)
        return {process for process in roots if procfs.is_alive(process)}

    def kill(self, kill: Kill, targets: set[Process]) -> None:
        """Signal the targets and see to it that their ends are noticed."""
        self._kill = kill
        for process in targets:
            self._signal(process, kill.signal, hang_up=kill.hang_up)
        self._kill_group(kill)
        self._check_soon()

    def _kill_group(self, kill: Kill) -> None:
        if kill.group and kill.signal == signal.SIGKILL:
            self._tools.groups.kill(self._unit)

    def adopt(self, spec: ServiceSpec, state: State, record: Record) -> list[Event]:
        """Take over what an earlier supervisor started; return the ends that nobody saw."""
        self.invocation = record.invocation
        main, control = record.main, record.control
        lost: list[Event] = []
        if record.spawning is not None:
            made = self._tools.members.spawned(record.spawning.token)
            is_main = record.spawning.role is Role.MAIN
            if made is None:
                lost = [MainExited(UNKNOWN) if is_main else ControlExited(UNKNOWN)]
                self.adopt_unrecorded()
            main, control = (made, control) if is_main else (main, made)
        self.main, self.control = main, control
        self._settle(spec)
        self._listen(spec)
        missed: list[Event] = []
        kills = self._tools.groups.oom_kills(self._unit)
        if kills and state.result is not Result.OOM_KILL:
            missed.append(OomKilled())
        self._oom_kills = kills
        for process, event in ((main, MainExited(UNKNOWN)), (control, ControlExited(UNKNOWN))):
            if process is not None:
                self._tools.members.adopt(process)
                if not self._tools.reaper.watch(process, self._ended):
                    missed.append(event)
        return [*missed, *lost]

    def adopt_unrecorded(self) -> None:
        """Take over whatever there is of the unit when nothing is known about it."""
        for process in self._tools.members.search(self._unit):
            self._tools.members.adopt(process)
            if self._tools.reaper.watch(process, self._ended):
                self._others.add(process)

    def watch(self, *, counts: bool) -> None:
        """Have the watchdog watch while the unit is where it counts."""
        if counts and self._spec is not None:
            self._watchdog.watch(self._spec.watchdog_s)
        elif not counts:
            self._watchdog.stop()

    def clear(self, *, restarting: bool = False) -> None:
        """The run is over: what is left (KillMode=process leaves things) is not the unit's any more.

        `restarting`: another run follows by itself.
        """
        self._watchdog.stop()
        if self._oom_watch is not None:
            self._oom_watch.close()
            self._oom_watch = None
        if self._spec is not None:
            self._tools.launcher.places.remove(self._spec.directories, restarting=restarting)
            self._tools.groups.remove(self._unit)
        self._place = Place()
        for process in (self.main, self.control, *self._others):
            if process is not None:
                self._tools.reaper.forget(process)
        self.main = self.control = self._kill = None
        self._others.clear()
        if self._notify is not None:
            self._notify.close()
            self._notify = None

    # ---- ends

    def _ended(self, process: Process, exit_: Exit) -> None:
        if self._notify is not None:
            self._notify.drain()  # what it said before it ended counts first: MAINPID= may name another main process
        before = self._oom_events()  # why it ended counts before its end does
        if process == self.main:
            self.main = None
            self._report(*before, MainExited(exit_))
        elif process == self.control:
            self.control = None
            self._report(*before, ControlExited(exit_))
        else:
            self._report(*before)
        self._others.discard(process)
        self._check_soon()

    def _look_for_oom(self) -> None:
        self._tools.reaper.reap()  # who was killed may have ended already: its status would be lost once it is stopped
        self._report(*self._oom_events())

    def _oom_events(self) -> list[Event]:
        """Return OomKilled when the kernel has killed another process of the unit since the last look."""
        kills = self._tools.groups.oom_kills(self._unit)
        found: list[Event] = [OomKilled()] if kills > self._oom_kills else []
        self._oom_kills = kills
        return found

    def _check_soon(self) -> None:
        if self._kill is not None and self._kill.group and not self._checking:
            self._checking = True
            asyncio.get_running_loop().call_soon(self._check)

    def _check(self) -> None:
        """After a signal to everybody: is anyone left, and does somebody new have to get it too?"""
        self._checking = False
        if self._kill is None:
            return
        left = self.targets(self._kill)
        if not left:
            self._report(GroupEmpty())
            return
        for process in left:
            if not self._tools.reaper.is_watched(process):
                self._signal(process, self._kill.signal)
        self._kill_group(self._kill)

    def _signal(self, process: Process, number: int, *, hang_up: bool = False) -> None:
        if not self._tools.reaper.is_watched(process):
            if not self._tools.reaper.watch(process, self._ended):
                return
            self._others.add(process)
        self._tools.reaper.signal(process, number)
        if hang_up:
            self._tools.reaper.signal(process, signal.SIGHUP)
        if number != signal.SIGKILL:
            self._tools.reaper.signal(process, signal.SIGCONT)  # a stopped process would never see the other one

    # ---- words exchanged with the processes

    def _variables(self, spec: ServiceSpec, state: State, action: Spawn) -> Mapping[str, str]:
        own = {MARKER: self._tools.members.marker(self._unit), "INVOCATION_ID": self.invocation}
        if self.spawning is not None:
            own[SPAWN] = self.spawning.token
        if self._notify is not None:
            own["NOTIFY_SOCKET"] = str(self._notify.path)
            if math.isfinite(spec.watchdog_s):
                own["WATCHDOG_USEC"] = str(round(spec.watchdog_s * 1e6))
        if action.role is Role.CONTROL and self.main is not None:
            own["MAINPID"] = str(self.main.pid)
        if action.commands in (Commands.STOP, Commands.STOP_POST):
            own["SERVICE_RESULT"] = state.result
            own.update(_told_of(state.main_exit))
        return own

    def _listen(self, spec: ServiceSpec) -> None:
        if self._notify is None and spec.notify_access is not NotifyAccess.NONE:
            self._notify = NotifySocket(self._tools.notify_directory, self._unit, self._heard)
        self._access = spec.notify_access

    def _executed(self, fd: int) -> None:
        asyncio.get_running_loop().remove_reader(fd)
        ran = os.read(fd, 1) == b""
        os.close(fd)
        if ran:
            self._report(Executed())

    def _heard(self, sender: Sender, said: Mapping[str, str]) -> None:
        if not self._may_speak(sender.pid):
            return
        if "MAINPID" in said:
            self._announced(said["MAINPID"], sender)
        if said.get("READY") == "1":
            self._report(Ready())
        if said.get("STOPPING") == "1":
            self._report(Stopping())
        if "WATCHDOG" in said:
            self._barked_at(said["WATCHDOG"])
        if said.get("WATCHDOG_USEC", "").isdigit():
            self._watchdog.change(int(said["WATCHDOG_USEC"]) / 1e6)
        if "STATUS" in said:
            self.status_text = said["STATUS"][:_MAX_STATUS] or None
            self._report(StatusSaid())
        if said.get("EXTEND_TIMEOUT_USEC", "").isdigit():
            self._report(Extended(int(said["EXTEND_TIMEOUT_USEC"]) / 1e6))

    def _barked_at(self, word: str) -> None:
        if word == "trigger":
            self._report(WatchdogTimedOut())
        else:
            self._watchdog.heard()

    def _may_speak(self, pid: int) -> bool:
        main = self.main.pid if self.main is not None else None
        control = self.control.pid if self.control is not None else None
        match self._access:
            case NotifyAccess.ALL:
                return True
            case NotifyAccess.EXEC:
                return pid in (main, control)
            case NotifyAccess.MAIN:
                return pid == main
            case NotifyAccess.NONE:
                return False

    def _announced(self, text: str, sender: Sender) -> None:
        """Take another process as the main one: the unit's own, or one that somebody says who could signal it."""
        process = procfs.identify(int(text)) if text.isdigit() and int(text) not in (1, os.getpid()) else None
        if process is None or process in (self.main, self.control):
            return
        if sender.uid != os.getuid() and procfs.marker(process.pid) != self._tools.members.marker(self._unit):
            return
        if not self._tools.reaper.is_watched(process) and not self._tools.reaper.watch(process, self._ended):
            return
        if self.main is not None:
            self._others.add(self.main)
        self.main = process
        self._report(MainAnnounced())


def _told_of(exit_: Exit | None) -> dict[str, str]:
    """Return the variables that tell ExecStop and ExecStopPost how the main process ended; none when unknown."""
    if exit_ is None or exit_.how is How.UNKNOWN:
        return {}
    status = str(exit_.status) if exit_.how is How.EXITED else signal_name(exit_.status).removeprefix("SIG")
    return {"EXIT_CODE": exit_.how, "EXIT_STATUS": status}
