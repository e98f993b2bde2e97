"""What happened to units since a revision: `GET /inaetics/v1/changes?after=REVISION&wait_s=SECONDS&unit=NAME…`.

For who waits for units: the request is held until something was heard of one of them, and answered with those units
only, so that waiting for a thousand costs a thousand entries, not a thousand listings of a thousand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from inaetics.api import views
from inaetics.api.inaetics_v1 import MAX_WAIT_S
from inaetics.api.queries import number, seconds
from inaetics.api.replies import reply
from inaetics.api.services import Services
from inaetics.api.wire import Changes
from inaetics.fleet.model import MachineId, Snapshot, UnitName

PATH = "/inaetics/v1/changes"


def routes(services: Services) -> list[Route]:
    """The resource."""

    async def changes(request: Request) -> Response:
        asked = frozenset(map(UnitName, request.query_params.getlist("unit")))
        if "after" not in request.query_params:
            snapshot = await services.snapshot()
            return reply(_shown(services, snapshot, asked or _everything(snapshot), complete=True))
        after = number(request, "after", default=0, limit=2**63)
        return reply(await _held(services, asked, after, seconds(request, "wait_s", limit=MAX_WAIT_S)))

    return [Route(PATH, changes, methods=["GET"])]


async def _held(services: Services, asked: frozenset[UnitName], after: int, wait_s: float) -> Changes:
    """The answer once there is something to tell, or when `wait_s` is over."""
    loop = asyncio.get_running_loop()
    end = loop.time() + wait_s
    seen = after
    while True:
        snapshot = await services.changed(seen, max(0.0, end - loop.time()))
        heard = services.recent.since(after)
        if heard is None:
            return _shown(services, snapshot, asked or _everything(snapshot), complete=True)
        names = [name for name in heard if not asked or name in asked]
        if names or snapshot.revision <= seen or loop.time() >= end:
            return _shown(services, snapshot, names, complete=False)
        seen = snapshot.revision


def _everything(snapshot: Snapshot) -> Iterable[UnitName]:
    return snapshot.units.keys() | {name for _, name in snapshot.states}


def _shown(services: Services, snapshot: Snapshot, names: Iterable[UnitName], *, complete: bool) -> Changes:
    recent = services.recent
    chosen = sorted(names)
    units = (snapshot.units[name] for name in chosen if name in snapshot.units)
    return Changes(
        revision=snapshot.revision,
        complete=complete,
        names=tuple(chosen),
        units=tuple(
            views.unit_entry(snapshot, unit, _place(snapshot, unit.name, recent.placed_on(unit.name)), _why)
            for unit in units
        ),
        reported=tuple(name for name in chosen if _is_reported(snapshot, name, recent.reported_by(name))),
    )


def _why(name: UnitName) -> str:
    """Explaining is left to who needs it: it costs a look at every machine, and here thousands may wait."""
    return f"no machine has it yet (why: fleetctl explain {name})"


def _place(snapshot: Snapshot, name: UnitName, machines: Iterable[MachineId]) -> views.Place | None:
    """As `views.place_of`, at the cost of the unit's own placements."""
    found: views.Place | None = None
    for machine in sorted(machines):
        placement, state = snapshot.placements[machine, name], snapshot.states.get((machine, name))
        if found is None or found.placement.withdraw:
            found = views.Place(placement, state if state is None or state.load != views.ABSENT else None)
    return found


def _is_reported(snapshot: Snapshot, name: UnitName, machines: Iterable[MachineId]) -> bool:
    return any(snapshot.states[machine, name].load != views.ABSENT for machine in machines)
