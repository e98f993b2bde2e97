"""Which machine people mean: by its id, the beginning of it, or its host's name. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from inaetics.errors import Conflict, NotFound
from inaetics.fleet.model import MachineId, Snapshot, natural


def known_machines(snapshot: Snapshot, spoken_of: Iterable[MachineId] = ()) -> dict[MachineId, str]:
    """Machines that are there, hold placements, or are `spoken_of` by an operator, with the names people call them."""
    found = dict.fromkeys(spoken_of, "")
    found |= {placement.machine: placement.machine_name for placement in snapshot.placements.values()}
    return found | {machine.id: machine.name for machine in snapshot.machines.values()}


def find_machine(word: str, known: dict[MachineId, str]) -> MachineId:
    """The machine called `word`; raises NotFound, or Conflict when the beginning of an id fits several."""
    exact = [machine for machine, name in known.items() if word in (machine, name) and word]
    found = exact or [machine for machine in known if word and machine.startswith(word)]
    if not found:
        raise NotFound(f"no machine is called {word!r} (known: {_listed(known)}; see: fleetctl list-machines)")
    if len(found) > 1:
        several = ", ".join(sorted(known[machine] or machine for machine in found))
        raise Conflict(f"{word!r} means several machines: {several} (write more of the id, or a name)")
    return found[0]


def _listed(known: dict[MachineId, str]) -> str:
    names = sorted((name or machine[:8] for machine, name in known.items()), key=natural)
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "") if names else "none"
