"""Control groups: where the units of this run live, what can be limited there, and the end of all that is in one.

Where the machine lets us, every unit has a group of its own for its processes (whatever they do, they stay in it),
and one more for each controller that its limits need. A machine has one hierarchy for all (v2), one for each controller
(v1), or both (hybrid); what is ours to use is found by trying. Groups lie below the one that the supervisor was
started in, so whatever holds for that holds for the units too. `DIRECTORY/cgroups` names them for a successor.

Nothing here is needed to run a unit: what cannot be limited is said, by `Groups.place`.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
import structlog

from inaetics.supervisor import linux, procfs
from inaetics.supervisor.group_files import Setting, Whole, settings
from inaetics.supervisor.hierarchies import Hierarchy, usable_hierarchies, way_home
from inaetics.supervisor.procfs import Process
from inaetics.supervisor.shares import Shares
from inaetics.units.resources import Resources

_log = structlog.get_logger()

_FREEZE_ROUNDS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the processes of one unit are put: `procs` are the files that take them in; `unmet` is for people.

    `home` is the file that takes the supervisor back where it goes along into the only one of `procs`; None where it
    must not, since limits are kept there that would be its own for that moment.
    """

    procs: tuple[str, ...] = ()
    home: str | None = None
    unmet: tuple[str, ...] = ()


class Groups:
    """The groups of one run."""

    def __init__(self, hierarchies: tuple[Hierarchy, ...]) -> None:
        self._hierarchies = hierarchies
        self._tracker = next((each for each in hierarchies if each.tracks), None)
        self._memory = next((each for each in hierarchies if "memory" in each.controllers), None)
        cpu = next((each for each in hierarchies if "cpu" in each.controllers and not each.unified), None)
        self._shares = Shares(cpu.path) if cpu is not None else None
        self._left: set[str] = set()
        self._whole = _whole()
        self._home = way_home(self._tracker.path) if self._tracker is not None else None

    @property
    def controllers(self) -> frozenset[str]:
        """What can be limited here: memory, cpu, pids, or less."""
        return frozenset().union(*(each.controllers for each in self._hierarchies))

    @property
    def tracks(self) -> bool:
        """Whether every unit has a group that none of its processes leaves unnoticed."""
        return self._tracker is not None

    def describe(self) -> str:
        """Return for people what can be done here."""
        limits = ", ".join(sorted(self.controllers)) or "nothing"
        return f"limits: {limits}; units {'have' if self.tracks else 'have no'} groups of their own"

    def place(self, unit: str, resources: Resources) -> Place:
        """Make the unit's groups and set its limits. Idempotent; what is not possible is in the answer."""
        unified = {name: each.unified for each in self._hierarchies for name in each.controllers}
        wanted, unmet = settings(resources, unified, self._whole)
        procs: list[str] = []
        for hierarchy in self._hierarchies:
            mine = [each for each in wanted if each.controller in hierarchy.controllers]
            if not mine and hierarchy is not self._tracker:
                continue
            directory = f"{hierarchy.path}/{unit}"
            try:
                with suppress(FileExistsError):  # of an earlier start
                    os.mkdir(directory)
                for each in mine:
                    unmet += _set(directory, each)
                procs.append(f"{directory}/cgroup.procs")
            except OSError as error:
                what = ", ".join(dict.fromkeys(each.directive for each in mine))
                _log.error("cannot make a unit's group", unit=unit, directory=directory, error=str(error))
                unmet += [f"{what} cannot be kept here: {error}"] if what else []
        if self._shares is not None and any(each.controller == "cpu" for each in wanted):
            self._shares.look(unit)
        self._left.discard(unit)
        return Place(procs=tuple(procs), home=self._home if procs and not wanted else None, unmet=tuple(unmet))

    def processes(self, unit: str) -> set[Process]:
        """Return the living processes in the unit's group."""
        return self._living(f"/{unit}")

    def everyone(self) -> set[Process]:
        """Return the living processes in the groups of all units."""
        return self._living("")

    def _living(self, below: str) -> set[Process]:
        if self._tracker is None:
            return set()
        found = (procfs.identify(pid) for pid in _pids(f"{self._tracker.path}{below}"))
        return {process for process in found if process is not None}

    def kill(self, unit: str) -> None:
        """SIGKILL everything in the unit's group at once: nothing in it can fork away."""
        if self._tracker is None:
            return
        directory = f"{self._tracker.path}/{unit}"
        try:
            linux.write(f"{directory}/cgroup.kill", "1")
        except FileNotFoundError:
            _kill_frozen(directory)
        except OSError as error:
            _log.error("cannot kill a group", directory=directory, error=str(error))

    def oom_kills(self, unit: str) -> int:
        """Return how many processes of the unit the kernel has killed for want of memory; 0 when that is not told."""
        path = self.oom_file(unit)
        if path is None:
            return 0
        with suppress(OSError):  # the group is gone, and its count with it
            for line in Path(path).read_text().splitlines():
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
        return 0

    def oom_file(self, unit: str) -> str | None:
        """Return the file that counts them, or None when the unit's memory is not limited."""
        if self._memory is None:
            return None
        directory = f"{self._memory.path}/{unit}"
        if not self._memory.unified and not os.path.isdir(directory):
            return None
        return f"{directory}/{'memory.events' if self._memory.unified else 'memory.oom_control'}"

    def remove(self, unit: str) -> None:
        """Remove the unit's groups; one that still has processes (KillMode=process) stays until they are gone."""
        self._left.add(unit)
        for name in list(self._left):
            if not self._remains(name):
                self._left.discard(name)
                if self._shares is not None:
                    self._shares.forget(name)

    def _remains(self, unit: str) -> list[str]:
        """Try to remove the unit's groups and return those that stay."""
        directories = [f"{hierarchy.path}/{unit}" for hierarchy in self._hierarchies]
        return [directory for directory in directories if not _remove(directory)]

    def close(self) -> None:
        """Remove everything; what has processes in it stays."""
        for hierarchy in self._hierarchies:
            _remove(hierarchy.path)


def open_groups(directory: Path, run: str, *, again: bool) -> Groups:
    """Return the groups of a run: those on record when it goes on (`again`), else new ones.

    Groups on record that belong to an earlier run are removed.
    """
    path = directory / "cgroups"
    found = _recorded(path)
    if again and found:
        return Groups(found)
    for hierarchy in found:
        _remove(hierarchy.path)
    hierarchies = usable_hierarchies(f"inaetics-{run}")
    directory.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode(hierarchies))
    return Groups(hierarchies)


def possible_groups() -> Groups:
    """Return what a supervisor started here could use, by trying; nothing of it is left."""
    groups = Groups(usable_hierarchies(f"inaetics-probe-{os.getpid()}"))
    groups.close()
    return groups


def remove_groups(directory: Path) -> None:
    """Remove what a supervisor over `directory` left, once its processes are gone. Idempotent."""
    for hierarchy in _recorded(directory / "cgroups"):
        _remove(hierarchy.path)


def _recorded(path: Path) -> tuple[Hierarchy, ...]:
    """Return the hierarchies on record that are still there."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=tuple[Hierarchy, ...])
    except (FileNotFoundError, msgspec.MsgspecError):
        return ()
    return tuple(each for each in found if os.path.isdir(each.path))


def _set(directory: str, setting: Setting) -> list[str]:
    """Write one limit; return what there is to say about it."""
    try:
        linux.write(f"{directory}/{setting.file}", setting.value)
    except OSError as error:
        return [f"{setting.directive} cannot be kept here: {error.strerror} ({setting.file})"]
    return []


def _kill_frozen(directory: str) -> None:
    """Kill what is in a group whose kernel has no cgroup.kill: frozen, so that nothing forks meanwhile."""
    freezer = next((f for f in ("cgroup.freeze", "freezer.state") if os.path.exists(f"{directory}/{f}")), None)
    frozen, thawed = ("1", "0") if freezer == "cgroup.freeze" else ("FROZEN", "THAWED")
    try:
        if freezer is not None:
            linux.write(f"{directory}/{freezer}", frozen)
        for _ in range(_FREEZE_ROUNDS):
            before = set(_pids(directory))
            for pid in before:
                # Dead by now; or of another account (a setuid program), which only root may kill.
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            if set(_pids(directory)) <= before:
                break
    except FileNotFoundError:
        return  # the group is gone: nobody is left to kill
    finally:
        if freezer is not None:
            _thaw(f"{directory}/{freezer}", thawed)


def _thaw(file: str, thawed: str) -> None:
    """Let a group go on: what is frozen does not die, whatever it was sent."""
    try:
        linux.write(file, thawed)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENODEV):  # else the group is gone
            _log.error("cannot thaw a group", file=file, error=str(error))


def _pids(directory: str) -> Iterator[int]:
    """Yield the numbers of the processes in a group and in those below it."""
    try:
        with open(f"{directory}/cgroup.procs", encoding="ascii") as file:
            yield from map(int, file.read().split())
        below = [entry.path for entry in os.scandir(directory) if entry.is_dir(follow_symlinks=False)]
    except OSError:  # the group is gone, maybe between two of these lines: nobody is in it
        return
    for each in below:
        yield from _pids(each)


def _remove(directory: str) -> bool:
    """Remove a group and those below it; return whether it is gone."""
    try:
        os.rmdir(directory)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno != errno.EBUSY:
            return False
        below = [entry.path for entry in os.scandir(directory) if entry.is_dir(follow_symlinks=False)]
        if not below or [each for each in below if not _remove(each)]:
            return False
        with suppress(OSError):  # somebody has just come in: what follows tells
            os.rmdir(directory)
        return not os.path.isdir(directory)
    return True


def _whole() -> Whole:
    """Return what the host has: its memory, and how many tasks its kernel takes."""
    tasks = [int(Path(f"/proc/sys/kernel/{name}").read_text()) for name in ("pid_max", "threads-max")]
    return Whole(memory=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), tasks=min(tasks))
