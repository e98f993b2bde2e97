"""What a host that is lost ran, and where that is now: read off the fleet's events. Pure.

Promises: only what happened after the loss counts, so what was drained from a host before is not said to have been lost
with it; what happened before this process's history begins is not guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from inaetics.api.hosts_wire import WentUnit
from inaetics.fleet.events import Clock, Event, Kind
from inaetics.fleet.model import MachineId, Snapshot, UnitName


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """When a host was lost, None where nobody here saw it, and what was started elsewhere since."""

    since: float | None
    left: list[UnitName] = field(default_factory=list)


def losses(events: Iterable[Event], hosts: Collection[str]) -> dict[str, Loss]:
    """The last loss of each of `hosts`, from events, the oldest first."""
    found: dict[str, Loss] = {}
    for event in events:
        match event.kind:
            case Kind.LEFT if event.machine in hosts:
                found[event.machine] = Loss(since=None if event.clock is Clock.LATER else event.time)
            case Kind.MOVED if event.left in found:
                found[event.left].left.append(UnitName(event.unit))
            case Kind.JOINED | Kind.RETURNED:
                found.pop(event.machine, None)
            case _:
                pass  # of no host, or of no move
    return found


def went(
    host: str, loss: Loss | None, snapshot: Snapshot, everywhere: Callable[[UnitName], bool]
) -> tuple[WentUnit, ...]:
    """What `host` ran and where each is: elsewhere, or nowhere while no machine has it.

    Units that run `everywhere` did not go: they are on every other machine as well.
    """
    held = {
        unit
        for (machine, unit), placement in snapshot.placements.items()
        if placement.machine_name == host and machine not in snapshot.machines
    }
    names = {name for name in held.union(loss.left if loss else ()) if name in snapshot.units and not everywhere(name)}
    where: dict[UnitName, MachineId] = {
        unit: machine for machine, unit in snapshot.placements if unit in names and machine in snapshot.machines
    }
    return tuple(_went(name, where.get(name), snapshot) for name in sorted(names))


def _went(name: UnitName, machine: MachineId | None, snapshot: Snapshot) -> WentUnit:
    if machine is None:
        return WentUnit(name=name)
    state = snapshot.states.get((machine, name))
    return WentUnit(name=name, machine=snapshot.machines[machine].name, active=state.active if state else "")
