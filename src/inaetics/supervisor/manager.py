"""All units of one host: loading, jobs that wait for each other, boot, adoption, and the way out.

A start or stop is a job of its unit. It waits while units that order says come first are still pending, and then
becomes an event of the unit's state machine; nothing else here touches a process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import structlog

from inaetics.errors import Conflict, InaeticsError, InvalidInput, NotFound, Unavailable
from inaetics.supervisor.deadline import Deadline
from inaetics.supervisor.ordering import Ordering
from inaetics.supervisor.processes import Tools
from inaetics.supervisor.records import Job, Records
from inaetics.supervisor.specs import checked_name
from inaetics.supervisor.unit import Unit
from inaetics.supervisor.values import (
    RESTING,
    STOPPING,
    DependencyFailed,
    ReloadRequested,
    RestartRequested,
    StartRequested,
    StopRequested,
    Sub,
)

_log = structlog.get_logger()

_PRUNE_EVERY = 50
"""Look after the journals of forgotten units once for so many of them."""

OnChange = Callable[[str], None]
"""Called with a unit's name after each change, also when it was forgotten."""


class Manager:
    """The units of one run directory."""

    def __init__(self, records: Records, tools: Tools, on_change: OnChange) -> None:
        self.units: dict[str, Unit] = {}
        self.closing = False
        self.deadline = Deadline(records.deadline, self.units)
        self._records = records
        self._tools = tools
        self._on_change = on_change
        self._ordering = Ordering()
        self._waiters: dict[str, set[str]] = {}
        self._ready: dict[str, None] = {}
        self._advancing = False
        self._forgotten = 0
        self._progress = asyncio.Event()

    # ---- what clients ask for

    def load(self, name: str, text: str, *, system: bool = False, stop_when_lost: bool = False) -> None:
        """Make a unit known; when it raises, nothing changed.

        Raises `UnitFileError`, `InvalidInput`, `Conflict` for a system unit's name, `Unavailable`.
        """
        self._refuse_when_closing()
        checked_name(name)
        unit = self.units.get(name)
        if unit is not None and unit.system and not system:
            raise Conflict(f"cannot load {name!r}: it is a system unit of this host")
        if unit is None:
            unit = Unit(name, self._records.of(name), self._tools, self._changed)
        unit.system = unit.system or system
        try:
            unit.load(text)
            self._tools.journals.make(name)
            self._tools.bounds.keep(name)
        except OSError as error:
            raise Unavailable(f"cannot load {name!r}: {error}") from error
        unit.unloading, unit.stop_when_lost = False, stop_when_lost
        unit.save()
        self.units[name] = unit
        self._ordering.put(unit.spec)
        if stop_when_lost:
            self.deadline.look()
        self._changed(unit)

    def start(self, name: str) -> None:
        """Queue a start, and of all that the unit needs. Raises `NotFound`, `Unavailable`."""
        self._refuse_when_closing()
        self.deadline.check(self._known(name))
        for needed in self._ordering.needed_by(name):
            unit = self.units[needed]
            if needed == name or not unit.is_up:
                self._oust(needed)
                self._queue(unit, Job.START)
        self._advance()

    def _oust(self, name: str) -> None:
        """Have those stopped that cannot be up together with `name`."""
        for other in self._ordering.opposed_to(name):
            if other in self.units and not self.units[other].is_over:
                self._queue(self.units[other], Job.STOP)

    def stop(self, name: str) -> None:
        """Queue a stop, and of all that cannot do without the unit. A name that is not known is no error."""
        for dependent in self._ordering.stopped_with(name):
            unit = self.units.get(dependent)
            if unit is not None and (dependent == name or not unit.is_over):
                self._queue(unit, Job.STOP)
        self._advance()

    def restart(self, name: str) -> None:
        """Stop the unit and start it again, and all that cannot do without it. Raises `NotFound`, `Unavailable`."""
        self._refuse_when_closing()
        unit = self._known(name)
        if unit.is_over:
            self.start(name)
        else:
            self.deadline.check(unit)
            for dependent in self._ordering.stopped_with(name):
                if dependent != name and dependent in self.units and not self.units[dependent].is_over:
                    self._queue(self.units[dependent], Job.RESTART)
            self._queue(unit, Job.RESTART)
            self._advance()

    def reload(self, name: str) -> None:
        """Run ExecReload of a running unit. Raises `NotFound`, `Conflict`."""
        unit = self._known(name)
        if not unit.is_up or not unit.spec.exec_reload:
            raise Conflict(f"cannot reload {name!r}: it is not running, or has no ExecReload=")
        unit.dispatch(ReloadRequested())

    def unload(self, name: str) -> None:
        """Stop the unit, then forget it. A name that is not known is no error. Raises `Conflict`."""
        unit = self.units.get(name)
        if unit is None:
            return
        if unit.system:
            raise Conflict(f"cannot unload {name!r}: it is a system unit of this host")
        unit.unloading = True
        self.stop(name)
        if name in self.units:
            unit.save()

    # ---- beginning and end

    def load_system_units(self, directory: Path) -> None:
        """Load the host's own units. A bad one is said and left out: the others may be what repairs it."""
        for file in sorted(directory.glob("*.service")):
            try:
                self.load(file.name, file.read_text(encoding="utf-8"), system=True)
            except (InaeticsError, OSError, UnicodeDecodeError) as error:
                _log.error("cannot load a system unit", unit=file.name, error=str(error))

    def queue_system_units(self) -> None:
        """Put every system unit down to be started; `advance` starts them."""
        for unit in self.units.values():
            if unit.system:
                self._queue(unit, Job.START)
                unit.save()

    def adopt(self) -> None:
        """Take over all units on record."""
        for name in self._records.names():
            try:
                self._restore(name)
            except (InaeticsError, OSError) as error:
                _log.error("cannot take over a unit", unit=name, error=str(error))
        self.deadline.restore()
        for unit in list(self.units.values()):
            self.deadline.restrain(unit)
            unit.resume()
            self._ready[unit.name] = None
        self.deadline.look(again=True)

    def advance(self) -> None:
        """Start what was queued."""
        self._advance()

    async def stop_all(self) -> None:
        """Stop what was loaded, then the system units; what comes after others is stopped before them."""
        self.closing = True
        for system in (False, True):
            names = [unit.name for unit in self.units.values() if unit.system is system]
            for name in names:
                self._queue(self.units[name], Job.STOP)
            self._advance()
            await self._all_over(names)

    async def _all_over(self, names: list[str]) -> None:
        left = names
        while left := [name for name in left if name in self.units and not self.units[name].is_over]:
            self._progress.clear()
            await self._progress.wait()

    # ---- jobs

    def _queue(self, unit: Unit, job: Job) -> None:
        unit.job = job
        self._ready[unit.name] = None

    def _advance(self) -> None:
        """Let every job go on that has nothing more to wait for."""
        if self._advancing:
            return
        self._advancing = True
        try:
            while self._ready:
                name = next(iter(self._ready))
                del self._ready[name]
                if name in self.units:
                    self._go_on(self.units[name])
        finally:
            self._advancing = False

    def _go_on(self, unit: Unit) -> None:
        if unit.job is None:
            return
        starting = unit.job is Job.START
        neighbours = self._ordering.earlier if starting else self._ordering.later
        blockers = neighbours(unit.name, self._is_starting if starting else self._is_stopping)
        if blockers:
            for blocker in blockers:
                self._waiters.setdefault(blocker, set()).add(unit.name)
            unit.save()
            return
        job, unit.job = unit.job, None
        if job is Job.RESTART:
            self._restart(unit)
        elif job is Job.STOP:
            unit.dispatch(StopRequested())
        elif not self.deadline.allows(unit):
            unit.dispatch(DependencyFailed("it has OnLost=stop, and its machine is out of touch with the fleet"))
        elif (missing := self._unmet(unit)) is not None:
            unit.dispatch(DependencyFailed(missing))
        else:
            unit.dispatch(StartRequested())
        self._changed(unit)

    def _restart(self, unit: Unit) -> None:
        """Stop the unit; it starts at once where nothing that it needs is on its way, else when that is up again."""
        if self._ordering.earlier(unit.name, self._is_starting):
            unit.dispatch(StopRequested())
            self._queue(unit, Job.START)
        else:
            unit.dispatch(RestartRequested())

    def _unmet(self, unit: Unit) -> str | None:
        missing = self._ordering.missing(unit.name)
        if missing:
            return f"it requires {missing[0]}, which this host does not have"
        idle = [name for name in self._ordering.requisite(unit.name) if not self.units[name].is_up]
        if idle:
            return f"{idle[0]} is not up, and Requisite= does not start it"
        down = [name for name in self._ordering.required_first(unit.name) if not self._serves(unit, name)]
        return f"it requires {down[0]}, which did not start" if down else None

    def _serves(self, unit: Unit, name: str) -> bool:
        """Whether `unit` can go on as to `name`, which it requires; what it is bound to has to be up."""
        needed = self.units[name]
        return needed.is_up if name in unit.spec.binds_to else needed.has_served

    def _is_starting(self, name: str) -> bool:
        unit = self.units.get(name)
        return unit is not None and unit.is_pending

    def _is_stopping(self, name: str) -> bool:
        unit = self.units.get(name)
        if unit is None:
            return False
        if unit.job is Job.START:
            return unit.state.sub in STOPPING  # a restart's first half
        return unit.is_pending

    # ---- changes

    def _changed(self, unit: Unit) -> None:
        """A unit is not as it was: tell who looks on, and let those go on who waited."""
        if self.units.get(unit.name) is not unit:
            return  # it is not taken in yet, or forgotten already
        self._progress.set()
        if unit.unloading and unit.is_over and unit.job is None:
            self._forget(unit)
            return
        self._on_change(unit.name)
        if unit.state.sub in RESTING:
            self._stop_bound(unit)
        if unit.ended:
            self._follow(unit)
        if not unit.is_pending or unit.is_over:
            self._wake_waiters(unit.name)
        self._advance()

    def _stop_bound(self, unit: Unit) -> None:
        for name in self._ordering.bound_to(unit.name):
            bound = self.units.get(name)
            if bound is not None and not bound.is_over and bound.job is not Job.STOP:
                self._queue(bound, Job.STOP)

    def _follow(self, unit: Unit) -> None:
        """Start what is to follow the end of a unit."""
        unit.ended = False
        failed = unit.state.sub is Sub.FAILED
        for name in unit.spec.on_failure if failed else unit.spec.on_success:
            try:
                self.start(name)
            except InaeticsError as error:
                _log.error("cannot start what is to follow a unit", unit=unit.name, follower=name, error=str(error))

    def _wake_waiters(self, name: str) -> None:
        for waiter in self._waiters.pop(name, ()):
            self._ready[waiter] = None

    def _forget(self, unit: Unit) -> None:
        unit.forget()
        self._forgotten += 1
        if self._forgotten % _PRUNE_EVERY == 0:
            self._tools.journals.prune(self.units)
        self._tools.bounds.drop(unit.name)
        self.units.pop(unit.name, None)
        self._ordering.drop(unit.name)
        self._on_change(unit.name)
        self._wake_waiters(unit.name)
        self._advance()

    # ---- small words

    def _known(self, name: str) -> Unit:
        unit = self.units.get(name)
        if unit is None:
            raise NotFound(f"there is no unit {name!r} on this host (load it first)")
        return unit

    def _refuse_when_closing(self) -> None:
        if self.closing:
            raise Unavailable("the supervisor is shutting down")

    def _restore(self, name: str) -> None:
        checked_name(name)
        records = self._records.of(name)
        text = records.read_text("loaded")
        unit = Unit(name, records, self._tools, self._changed)
        try:
            record = records.read()
        except InvalidInput as error:
            _log.error("cannot read a unit's record", unit=name, error=str(error))
            unit.restore_unrecorded(text or "")
        else:
            if record is None or text is None:
                records.remove()  # its load was never answered, or it was being forgotten
                return
            unit.restore(record, text, records.read_text("running"))
        self.units[name] = unit
        self._ordering.put(unit.spec)
        self._tools.journals.make(name)
        self._tools.bounds.keep(name)
