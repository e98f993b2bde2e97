"""One unit at work: feeds what happens to the state machine and does what that returns. No judgement here.

Work on one unit is serial by construction: everything happens in callbacks of one event loop, none of which waits.
Order within a transition: before a process is made, the record says that it is about to be, and by what it can be
recognised; once the transition is over, which process it became; and then signals are sent. So a successor finds
whatever ran, at whichever instant this supervisor is killed, and knows of a stop before anything dies of it.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import structlog

from inaetics.errors import InaeticsError, Unavailable
from inaetics.supervisor.conditions import unmet
from inaetics.supervisor.machine import step
from inaetics.supervisor.narrate import narrate
from inaetics.supervisor.phases import lose
from inaetics.supervisor.processes import Processes, Tools
from inaetics.supervisor.protocol import Active, UnitStatus
from inaetics.supervisor.records import Job, Record, UnitRecords
from inaetics.supervisor.unit_texts import UnitTexts, unwritten
from inaetics.supervisor.values import (
    OVER,
    RESTING,
    UP,
    WATCHED,
    Action,
    Arm,
    Begin,
    Begun,
    ConditionUnmet,
    Event,
    Executed,
    Exit,
    How,
    Kill,
    KillSent,
    MainSpawned,
    Result,
    Resumed,
    Role,
    Spawn,
    SpawnFailed,
    State,
    Sub,
    TimedOut,
    active_of,
)
from inaetics.units.service_model import ServiceSpec

_log = structlog.get_logger()


def clock() -> float:
    """Read the clock that deadlines are on: it never goes back, and a restarted supervisor reads the same one."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Unit:
    """A unit that was loaded. `changed` is called after each change that can be seen from outside."""

    def __init__(self, name: str, records: UnitRecords, tools: Tools, changed: Callable[[Unit], None]) -> None:
        self.name = name
        self.system = False
        self.unloading = False
        self.stop_when_lost = False
        self.job: Job | None = None
        self.ended = False
        """Whether it came to its end since the manager asked last."""
        self.state = State()
        self._records = records
        self._tools = tools
        self._changed = changed
        self._processes = Processes(name, tools, self.dispatch)
        self._texts = UnitTexts(name, records, tools.launcher.host)
        self._events: deque[Event] = deque()
        self._busy = False
        self._nobody_left = False
        self._to_say: list[str] = []
        self._later: list[Callable[[], None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._deadline: float | None = None
        self._up_at: float | None = None
        self._since = time.time()
        self._pulled_at = 0.0
        self._started_at = 0.0
        self._written: Record | None = None
        self._shown: UnitStatus | None = None

    @property
    def is_pending(self) -> bool:
        """Whether it is on its way up or down, or will be: others may have to wait for it."""
        return self.job is not None or active_of(self.state.sub) in (Active.ACTIVATING, Active.DEACTIVATING)

    @property
    def is_up(self) -> bool:
        """Whether it does what it is for."""
        return self.state.sub in UP

    @property
    def has_served(self) -> bool:
        """Whether who requires it can go on: it is up, did its work and ended well, or was left out by a condition."""
        state = self.state
        done = state.main_exit is not None and state.result is Result.SUCCESS and not state.forbid_restart
        return self.is_up or (state.sub is Sub.DEAD and (done or state.left_out))

    @property
    def spec(self) -> ServiceSpec:
        """What was loaded last: the next start's."""
        return self._texts.loaded

    @property
    def stop_s(self) -> float:
        """How long a stop of what runs now may take, or of what the next start runs, whichever is longer."""
        running = self._texts.running.timeout_stop_s if self._texts.running else 0.0
        return max(running, self.spec.timeout_stop_s)

    @property
    def is_over(self) -> bool:
        """Whether nothing of the unit runs, and nothing will by itself."""
        return self.state.sub in OVER

    def load(self, text: str) -> None:
        """Take `text` for the next start. Raises `UnitFileError` or `InvalidInput`, and then nothing changed."""
        if self._texts.is_loaded(text):
            return
        if self._texts.load(text):
            self.state = _forget_starts(self.state)
        self.save()
        self._show()

    def status(self) -> UnitStatus:
        """Return what is to be seen of the unit now."""
        state = self.state
        return UnitStatus(
            name=self.name,
            load="loaded",
            active=active_of(state.sub),
            sub=state.sub,
            result=state.result,
            content_hash=self._texts.hash,
            since=self._since,
            main_pid=self._processes.main.pid if self._processes.main is not None else None,
            exit_status=_status_of(state.main_exit),
            message=self._message(),
            system=self.system,
            stop_when_lost=self.stop_when_lost,
            pulled_at=self._pulled_at,
            started_at=self._started_at,
            run_hash=self._texts.run_hash,
        )

    def _message(self) -> str | None:
        """Why it does not run, with what it said of itself last, which often is the reason; else what it says."""
        state, said = self.state, self._processes.status_text
        if state.message and said and state.sub in (Sub.FAILED, Sub.AUTO_RESTART):
            return f"{state.message}; it said last: {said}"
        return state.message or said or self._not_kept() or None

    def _not_kept(self) -> str:
        """What of its limits is not kept; of a system unit, which nobody here wrote, its journal alone says so."""
        return "" if self.system else "; ".join(self._processes.unmet)

    # ---- the loop

    def dispatch(self, *events: Event) -> None:
        """Let `events` happen together, with all that follows from them at once."""
        self._events.extend(events)
        if self._busy:
            return
        self._busy = True
        try:
            while self._events:
                self._drain()
                self._speak()
                self.save()
                self._carry_out()
        finally:
            self._busy = False
        self._show()

    def _drain(self) -> None:
        """Let everything happen that has come up."""
        self._nobody_left = False
        while self._events:
            event = self._events.popleft()
            before = self.state
            self.state, actions = step(self._texts.present, before, event, clock())
            self._to_say.extend(narrate(self._texts.present, before, event, self.state))
            if active_of(self.state.sub) is not active_of(before.sub):
                self._since = time.time()
                self._note_up(before)
            for action in actions:
                self._do(action)
            if self.state.sub in RESTING and self.state.sub is not before.sub:
                self._processes.clear(restarting=self.state.sub is Sub.AUTO_RESTART)
            if self.state.sub in OVER and before.sub not in OVER and not self.state.left_out:
                self.ended = True
        self._processes.watch(counts=self.state.sub in WATCHED)

    def _note_up(self, before: State) -> None:
        if self.state.sub in UP and before.sub not in UP:
            self._up_at = clock()
        elif self.state.sub not in UP:
            self._up_at = None

    def _do(self, action: Action) -> None:
        match action:
            case Begin():
                self._begin()
            case Spawn():
                self._spawn(action)
            case Arm():
                self._arm(action.seconds, since_up=action.since_up)
            case Kill():
                self._kill(action)

    def _begin(self) -> None:
        try:
            spec = self._texts.of_today()
            if (keeping := self._unmet_condition(spec)) is not None:
                self._events.append(keeping)
                return
            self._texts.note_run()
            self._processes.begin(spec)
        except (InaeticsError, OSError) as error:
            self._events.append(SpawnFailed(Role.CONTROL, str(error)))
            return
        self._texts.run(spec)
        self._pulled_at = self._started_at = 0.0
        self._to_say.extend(self._processes.unmet)
        self._events.append(Begun())

    def _unmet_condition(self, spec: ServiceSpec) -> ConditionUnmet | None:
        host = self._tools.launcher.host
        condition = unmet(spec.conditions, host_name=host.facts().name or "", environment=host.now())
        if condition is None:
            return None
        return ConditionUnmet(f"not started: {condition} does not hold", condition.is_assertion)

    def _spawn(self, action: Spawn) -> None:
        first_main = action.role is Role.MAIN and action.index == 0
        if first_main:
            self._pulled_at = time.time()
        try:
            ran = self._spawn_on_record(action)
        except (InaeticsError, OSError) as error:
            self._events.append(SpawnFailed(action.role, str(error)))
            return
        finally:
            self._processes.announce(None)
        self._nobody_left = False
        if first_main:
            self._started_at = time.time()
        if action.role is Role.MAIN:
            self._events.append(MainSpawned())
            if ran:
                self._events.append(Executed())

    def _spawn_on_record(self, action: Spawn) -> bool:
        self._processes.announce(action.role)
        self._speak()  # before the program does
        self.save()
        if self._written is None:
            raise Unavailable(unwritten(self.name))
        return self._processes.spawn(self._texts.present, self.state, action)

    def _kill(self, action: Kill) -> None:
        targets = set() if self._nobody_left else self._processes.targets(action)
        self._nobody_left = action.group and not targets
        if targets:
            self._later.append(partial(self._processes.kill, action, targets))
        self._events.append(KillSent(waiting=bool(targets)))

    def _arm(self, seconds: float | None, *, since_up: bool = False) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._deadline = None, None
        if seconds is not None:
            if since_up and self._up_at is not None:
                seconds = max(0.0, self._up_at + seconds - clock())
            self._deadline = clock() + seconds
            self._timer = asyncio.get_running_loop().call_later(seconds, self._time_is_up)

    def _time_is_up(self) -> None:
        self._timer, self._deadline = None, None
        self.dispatch(TimedOut())

    def _carry_out(self) -> None:
        """Do what had to wait for the record."""
        later, self._later = self._later, []
        for action in later:
            action()

    # ---- what others see

    def save(self) -> None:
        """Write the record when it changed. A disk that takes no more is said, and tried again at the next change."""
        record = Record(
            state=self.state,
            system=self.system,
            unloading=self.unloading,
            stop_when_lost=self.stop_when_lost,
            job=self.job,
            invocation=self._processes.invocation,
            main=self._processes.main,
            control=self._processes.control,
            spawning=self._processes.spawning,
            deadline=self._deadline,
            up_at=self._up_at,
            since=self._since,
            pulled_at=self._pulled_at,
            started_at=self._started_at,
        )
        if record == self._written:
            return
        try:
            self._records.write(record)
        except OSError as error:
            self._written = None
            _log.error("cannot write a unit's record", unit=self.name, error=str(error))
        else:
            self._written = record

    def _show(self) -> None:
        status = self.status()
        if status != self._shown:
            self._shown = status
            self._changed(self)

    def _speak(self) -> None:
        """Write to the unit's journal what there is to say."""
        texts, self._to_say = self._to_say, []
        if not texts:
            return
        _log.debug("unit", unit=self.name, said="; ".join(texts))
        try:
            self._tools.journals.say(self.name, *texts)
        except OSError as error:
            _log.error("cannot write to a unit's journal", unit=self.name, error=str(error))

    # ---- another supervisor's work

    def restore(self, record: Record, text: str, running_text: str | None) -> None:
        """Take over a unit as its record has it; `resume` must follow."""
        self.state, self._since, self._written = record.state, record.since, record
        self.system, self.unloading, self.job = record.system, record.unloading, record.job
        self.stop_when_lost = record.stop_when_lost
        self._deadline, self._up_at = record.deadline, record.up_at
        self._pulled_at, self._started_at = record.pulled_at, record.started_at
        self._texts.restore(text, running_text)

    def restore_unrecorded(self, text: str) -> None:
        """Take over a unit whose record makes no sense: it is stopped, so that it can be started in a known way."""
        message = "its record could not be read by the restarted supervisor, so it was stopped"
        state = State(sub=Sub.FINAL_SIGTERM, result=Result.UNKNOWN, message=message, forbid_restart=True)
        self.restore(Record(state=state, since=time.time()), text, None)
        self._processes.adopt_unrecorded()

    def restrain(self, message: str) -> None:
        """Let nothing be started by `resume`: the unit may not run any more."""
        self.state = lose(self.state, message)

    def resume(self) -> None:
        """Watch what lives, learn of what died meanwhile, go on with what was half done."""
        record = self._written
        if record is None or self.is_over:
            self._show()
            return
        missed = self._processes.adopt(self._texts.present, self.state, record)
        if self._deadline is not None:
            self._arm(max(0.0, self._deadline - clock()))
        self.dispatch(*missed, Resumed())

    def forget(self) -> None:
        """Remove the unit's records; its journal stays."""
        self._arm(None)
        self._processes.clear()
        try:
            self._records.remove()
        except OSError as error:  # the disk is full; a successor forgets it again
            _log.error("cannot remove a unit's records", unit=self.name, error=str(error))


def _forget_starts(state: State) -> State:
    """New content may start at once, whatever the old one did."""
    return replace(state, starts=())


def _status_of(exit_: Exit | None) -> int | None:
    """Return the exit status, or the signal as a negative number; None when it runs or nobody saw the end."""
    if exit_ is None or exit_.how is How.UNKNOWN:
        return None
    return exit_.status if exit_.how is How.EXITED else -exit_.status
