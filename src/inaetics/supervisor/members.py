"""Finding every process of a unit: without control groups, which may not be ours to use, and with them where they are.

Whatever a unit started either descends from a process we know, or was orphaned. Orphans become our children (we are
a subreaper); those of a unit adopted after a restart go where the adopted processes went, to a foster parent. Which
unit an orphan belongs to is told by the marker in its environment, which a fork inherits. So a look costs what the
unit has, plus a word for every child of ours; the whole of /proc is read only on the way out, and when a record was
lost.

What escapes this: a process that was orphaned *and* had thrown its environment away before it was ever seen. Where
the unit has a control group, those in it are found in any case.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Set

from inaetics.supervisor import procfs
from inaetics.supervisor.cgroups import Groups
from inaetics.supervisor.procfs import Process


class Members:
    """Who belongs to which unit.

    `run` is the identity of this supervisor's run directory; `known` are the pids that some unit has, as they change.
    """

    def __init__(self, run: str, *, known: Set[int], groups: Groups) -> None:
        self._groups = groups
        self._run = run
        self._own = os.getpid()
        self._known = known
        self._fosters: set[int] = set()
        self._markers: dict[Process, str] = {}

    def marker(self, unit: str) -> str:
        """Return the marker that every process of `unit` is started with."""
        return f"{unit}@{self._run}"

    def adopt(self, process: Process) -> None:
        """Take note of a process started before our time: its orphans will be where it is now."""
        seen = procfs.stat(process.pid)
        if seen is not None and seen.parent not in (0, self._own):
            self._fosters.add(seen.parent)

    def of(self, unit: str, roots: Iterable[Process]) -> set[Process]:
        """Return the living processes of `unit`: `roots`, its orphans, and the descendants of both."""
        found = {root for root in roots if procfs.is_alive(root)}
        found.update(self._orphans(unit))
        found.update(self._groups.processes(unit))
        return self._with_descendants(found)

    def search(self, unit: str) -> set[Process]:
        """Return the living processes of `unit` wherever they are; this looks at every process of the machine."""
        return self._with_descendants(self._marked(self.marker(unit)) | self._groups.processes(unit))

    def spawned(self, token: str) -> Process | None:
        """Return the living process that was made with `token`; None when it is gone, or there is any doubt.

        What it started carries the token too. It is the one among them that nobody of them started, and leads a
        session; where its own end left several such, or a child of it, nobody can say who it was.
        """
        found = [process for pid in procfs.all_pids() if (process := self._carrying(pid, token)) is not None]
        numbers = {process.pid for process in found}
        roots = [each for each in found if (seen := procfs.stat(each.pid)) and seen.parent not in numbers]
        return roots[0] if len(roots) == 1 and procfs.leads_session(roots[0].pid) else None

    def _carrying(self, pid: int, token: str) -> Process | None:
        mine = pid != self._own and procfs.variable(pid, procfs.SPAWN) == token
        return procfs.identify(pid) if mine else None

    def everyone(self) -> set[Process]:
        """Return every living process that this supervisor, or one before it in this run directory, started."""
        found = {process for pid in procfs.children(self._own) if (process := procfs.identify(pid)) is not None}
        return self._with_descendants(found | self._groups.everyone() | self._marked(f"@{self._run}"))

    def _marked(self, ending: str) -> set[Process]:
        found = set()
        for pid in procfs.all_pids():
            marker = procfs.marker(pid) if pid != self._own else None
            if marker is not None and marker.endswith(ending) and (process := procfs.identify(pid)) is not None:
                found.add(process)
        return found

    def _orphans(self, unit: str) -> list[Process]:
        marker = self.marker(unit)
        seen: dict[Process, str] = {}
        for parent in (self._own, *self._fosters):
            for pid in procfs.children(parent) - self._known - {self._own}:
                if (process := procfs.identify(pid)) is not None:
                    known = self._markers.get(process)
                    seen[process] = known if known is not None else procfs.marker(pid) or ""
        self._markers = seen
        return [process for process, its in seen.items() if its == marker]

    def _with_descendants(self, found: set[Process]) -> set[Process]:
        todo = list(found)
        while todo:
            for pid in procfs.children(todo.pop().pid):
                child = procfs.identify(pid)
                if child is not None and child not in found and pid != self._own:
                    found.add(child)
                    todo.append(child)
        return found
