"""What holds for the state machine whatever happens in whatever order."""

from __future__ import annotations

import math
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from inaetics.supervisor.machine import step
from inaetics.supervisor.values import (
    KILLING,
    OVER,
    RESTING,
    UP,
    Action,
    Arm,
    Begin,
    Begun,
    Commands,
    ConditionUnmet,
    ControlExited,
    Event,
    Executed,
    Exit,
    Extended,
    GroupEmpty,
    How,
    Kill,
    KillSent,
    MainAnnounced,
    MainExited,
    MainSpawned,
    OomKilled,
    Ready,
    ReloadRequested,
    RestartRequested,
    Resumed,
    Role,
    Spawn,
    SpawnFailed,
    StartRequested,
    State,
    Stopping,
    StopRequested,
    Sub,
    TimedOut,
    WatchdogTimedOut,
)
from inaetics.units.command import Command
from inaetics.units.service_model import Ends, FailureMode, KillMode, OomPolicy, Restart, ServiceSpec, ServiceType

_command = st.builds(Command, argv=st.just(("/bin/x",)), ignore_failure=st.booleans())
_some = st.lists(_command, max_size=2).map(tuple)


@st.composite
def specs(draw: st.DrawFn) -> ServiceSpec:
    kind = draw(st.sampled_from(ServiceType))
    commands = draw(st.lists(_command, max_size=3)) if kind is ServiceType.ONESHOT else [draw(_command)]
    return ServiceSpec(
        name="a.service",
        type=kind,
        exec_start=tuple(commands),
        exec_condition=draw(_some),
        exec_start_pre=draw(_some),
        exec_start_post=draw(_some),
        exec_reload=draw(_some),
        exec_stop=draw(_some),
        exec_stop_post=draw(_some),
        restart=draw(st.sampled_from(Restart)),
        restart_s=draw(st.sampled_from([0.0, 1.0])),
        start_limit_burst=draw(st.sampled_from([0, 2])),
        remain_after_exit=draw(st.booleans()),
        timeout_start_s=draw(st.sampled_from([5.0, math.inf])),
        kill_mode=draw(st.sampled_from(KillMode)),
        send_sigkill=draw(st.booleans()),
        timeout_abort_s=draw(st.sampled_from([None, 1.0])),
        start_failure_mode=draw(st.sampled_from(FailureMode)),
        stop_failure_mode=draw(st.sampled_from(FailureMode)),
        runtime_max_s=draw(st.sampled_from([math.inf, 30.0])),
        oom_policy=draw(st.sampled_from(OomPolicy)),
        restart_prevent=draw(st.sampled_from([Ends(), Ends(codes=frozenset({1}))])),
        restart_force=draw(st.sampled_from([Ends(), Ends(codes=frozenset({0, 1}))])),
    )


_exits = st.one_of(
    st.builds(Exit, how=st.just(How.EXITED), status=st.sampled_from([0, 1])),
    st.builds(Exit, how=st.just(How.KILLED), status=st.sampled_from([9, 15])),
    st.just(Exit(how=How.UNKNOWN)),
)


class World:
    """A shell without processes: it knows which live, and checks every action against that."""

    def __init__(self, spec: ServiceSpec, choose: st.DataObject) -> None:
        self.spec = spec
        self.choose = choose
        self.state = State()
        self.main = self.control = False
        self.orphans = False
        self.armed: float | None = None
        self.gave_up = spec.kill_mode is KillMode.NONE
        self.now = 0.0
        self.asked_down = False

    def happen(self, event: Event) -> None:
        """Let an event happen, with all that follows at once."""
        self.now += 1.0
        todo: list[Event] = [event]
        while todo:
            event = todo.pop(0)
            self.state, actions = step(self.spec, self.state, event, self.now)
            for action in actions:
                todo.extend(self._do(action))
            if self.state.sub in RESTING:
                self.main = self.control = False
        self.check()

    def _do(self, action: Action) -> list[Event]:
        match action:
            case Begin():
                assert self.gave_up or not (self.main or self.control), "a run begins while the last one lives"
                self.main = self.control = self.orphans = False
                self.gave_up = self.spec.kill_mode is KillMode.NONE
                if self.choose.draw(st.integers(0, 9)) == 0:
                    return [ConditionUnmet("no", self.choose.draw(st.booleans()))]
                return [Begun()]
            case Spawn(role, commands, index):
                return self._spawn(role, commands, index)
            case Arm(seconds, _):
                self.armed = seconds
                return []
            case Kill(_, main, control, group, _):
                named = (main and self.main) or (control and self.control)
                return [KillSent(named or (group and (self.orphans or self.main or self.control)))]

    def _spawn(self, role: Role, commands: Commands, index: int) -> list[Event]:
        if commands in (Commands.CONDITION, Commands.START_PRE, Commands.START, Commands.START_POST):
            assert not self.asked_down, "a start command after a stop was asked for"
        if commands is Commands.STOP_POST:
            assert self.gave_up or not (self.main or self.control), "ExecStopPost beside what it comes after"
        if role is Role.MAIN:
            assert not self.main, "two main processes"
            if self.choose.draw(st.integers(0, 9)) == 0:
                return [SpawnFailed(Role.MAIN, "no")]
            self.main = True
            return [MainSpawned()]
        if self.choose.draw(st.integers(0, 9)) == 0:
            return [SpawnFailed(Role.CONTROL, "no")]
        self.control = True
        return []

    def possible(self) -> list[Event]:
        """Return the events that could come now."""
        exit_ = self.choose.draw(_exits) if self.main or self.control else Exit(how=How.UNKNOWN)
        events: list[Event] = [StartRequested(), StopRequested(), RestartRequested(), ReloadRequested()]
        events += [Ready(), Executed(), Stopping(), Extended(1.0), Resumed(), WatchdogTimedOut(), OomKilled()]
        if self.main:
            events += [MainExited(exit_), MainAnnounced()]
        if self.control:
            events.append(ControlExited(exit_))
        if self.armed is not None:
            events.append(TimedOut())
        if self.state.sub in KILLING and not self.orphans:
            events.append(GroupEmpty())  # maybe before the ends of the last ones were reported
        return events

    def choose_one(self) -> Event:
        """Pick one of them, and note what it says about the processes."""
        event = self.choose.draw(st.sampled_from(self.possible()))
        match event:
            case MainExited():
                self.main = False
                self.orphans = self.choose.draw(st.booleans())
            case ControlExited():
                self.control = False
            case TimedOut():
                self.armed = None
                self.gave_up = self.gave_up or self.state.sub in KILLING
            case StopRequested():
                self.asked_down = True
            case StartRequested() | RestartRequested():
                self.asked_down = False
            case _:
                pass
        return event

    def check(self) -> None:
        """Every unit that is neither up nor over waits for something that will come."""
        state = self.state
        assert state.main == self.main or state.sub in RESTING
        if state.sub in OVER:
            assert self.armed is None
            assert not state.start_again
        elif state.sub in UP - {Sub.RELOAD}:
            assert self.armed is None or state.sub is Sub.RUNNING
            assert state.main or self.spec.remain_after_exit or state.control
        elif state.sub is Sub.AUTO_RESTART:
            assert self.armed == self.spec.restart_s
        else:
            assert self.armed is not None or state.main or state.control, f"{state} waits for nothing"


@settings(max_examples=150, deadline=None)
@given(specs(), st.data())
def test_every_life_is_sound(spec: ServiceSpec, data: st.DataObject) -> None:
    world = World(spec, data)
    for _ in range(data.draw(st.integers(1, 25))):
        world.happen(world.choose_one())


@settings(max_examples=100, deadline=None)
@given(specs(), st.data())
def test_a_stop_always_comes_to_an_end(spec: ServiceSpec, data: st.DataObject) -> None:
    """Whatever went before: after a stop, if everything only ends or times out, the unit is over."""
    world = World(replace(spec, timeout_start_s=5.0), data)
    for _ in range(data.draw(st.integers(1, 15))):
        world.happen(world.choose_one())
    world.asked_down = True
    world.happen(StopRequested())
    for _ in range(60):
        if world.state.sub in OVER:
            break
        if world.armed is not None and data.draw(st.booleans()):
            world.armed, world.gave_up = None, True
            world.happen(TimedOut())
        elif world.control:
            world.control = False
            world.happen(ControlExited(Exit(how=How.EXITED)))
        elif world.main:
            world.main = world.orphans = False
            world.happen(MainExited(Exit(how=How.KILLED, status=9)))
        else:
            world.orphans = False
            world.happen(GroupEmpty())
    assert world.state.sub in OVER
    assert (world.state.main, world.state.control) == (False, False)
