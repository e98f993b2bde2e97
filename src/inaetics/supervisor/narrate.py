"""What the supervisor says about a unit in its journal, told from one transition. Pure."""

from __future__ import annotations

from inaetics.supervisor import policy
from inaetics.supervisor.values import (
    OVER,
    ControlExited,
    Event,
    How,
    MainExited,
    RestartRequested,
    Resumed,
    State,
    StopRequested,
    Sub,
)
from inaetics.units.service_model import ServiceSpec

_ON_ENTERING = {
    Sub.CONDITION: "asking ExecCondition=",
    Sub.START_PRE: "starting",
    Sub.RUNNING: "started",
    Sub.EXITED: "done; stays active",
}


def narrate(spec: ServiceSpec, old: State, event: Event, new: State) -> list[str]:
    """Return the lines worth telling, oldest first, maybe none."""
    lines = _of_event(old, event)
    if new.message is not None and new.message != old.message and new.message not in lines:
        lines.append(new.message)
    if new.sub is not old.sub:
        lines.extend(_of_entering(spec, old, new))
    return lines


def _of_event(old: State, event: Event) -> list[str]:
    match event:
        case MainExited(exit_) if old.sub not in OVER:
            return [policy.why("the main process", exit_)]
        case ControlExited(exit_) if exit_.how is not How.EXITED or exit_.status != 0:
            return [policy.why(f"a command of {old.sub}", exit_)]
        case StopRequested() if old.sub not in OVER:
            return ["asked to stop"]
        case RestartRequested() if old.sub not in OVER:
            return ["asked to restart"]
        case Resumed():
            return [f"the supervisor was restarted and found the unit {old.sub}"]
        case _:
            return []


def _of_entering(spec: ServiceSpec, old: State, new: State) -> list[str]:
    match new.sub:
        case Sub.DEAD:
            return ["stopped" if new.forbid_restart else "ended"]
        case Sub.FAILED:
            return [f"failed ({new.result})"]
        case Sub.AUTO_RESTART:
            return [f"restarting in {spec.restart_s:g} s (restart {new.restarts})"]
        case Sub.RUNNING if old.sub is Sub.RELOAD:
            return ["reloaded"]
        case _:
            text = _ON_ENTERING.get(new.sub)
            return [text] if text else []
