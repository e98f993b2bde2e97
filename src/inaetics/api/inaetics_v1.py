"""Our own API beside the original's: units with their reasons, machines with their names, held requests, journals.

A listing takes `after=REVISION&wait_s=SECONDS`: it is then answered once something newer is known: nobody polls.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from inaetics.api import views
from inaetics.api.control_v1 import machine_of
from inaetics.api.fleet_v1 import desired_state, unknown
from inaetics.api.queries import number, seconds
from inaetics.api.replies import read_json, reply
from inaetics.api.services import Services
from inaetics.api.wire import UnitChange, UnitDetail, Written
from inaetics.errors import Conflict
from inaetics.fleet.explain import explain
from inaetics.fleet.model import Snapshot, UnitName
from inaetics.units.names import parse_name

PREFIX = "/inaetics/v1"
MAX_WAIT_S = 60.0
MAX_JOURNAL_LINES = 100_000


def routes(services: Services) -> list[Route]:
    """Our resources."""
    ours = _InaeticsV1(services)
    return [
        Route(f"{PREFIX}/health", ours.health, methods=["GET"]),
        Route(f"{PREFIX}/machines", ours.machines, methods=["GET"]),
        Route(f"{PREFIX}/units", ours.units, methods=["GET"]),
        Route(f"{PREFIX}/units/{{name}}", ours.unit, methods=["GET"]),
        Route(f"{PREFIX}/units/{{name}}", ours.change_unit, methods=["PUT"]),
        Route(f"{PREFIX}/units/{{name}}", ours.destroy_unit, methods=["DELETE"]),
        Route(f"{PREFIX}/states", ours.states, methods=["GET"]),
        Route(f"{PREFIX}/explain/{{name}}", ours.explain, methods=["GET"]),
        Route(f"{PREFIX}/journal/{{name}}", ours.journal, methods=["GET"]),
    ]


class _InaeticsV1:
    def __init__(self, services: Services) -> None:
        self._services = services

    async def health(self, request: Request) -> Response:
        return reply(self._services.health())

    async def machines(self, request: Request) -> Response:
        return reply(views.machine_list(await self._snapshot(request)))

    async def units(self, request: Request) -> Response:
        snapshot = await self._snapshot(request)
        return reply(views.unit_list(snapshot, self._services.reasons(snapshot)))

    async def states(self, request: Request) -> Response:
        return reply(views.state_list(await self._snapshot(request)))

    async def unit(self, request: Request) -> Response:
        snapshot, name = await self._known(request)
        unit = snapshot.units[name]
        entry = views.unit_entry(snapshot, unit, views.place_of(snapshot, name), self._services.reasons(snapshot))
        return reply(UnitDetail(unit=entry, text=unit.text))

    async def change_unit(self, request: Request) -> Response:
        name = request.path_params["name"]
        parse_name(name)
        change = await read_json(request, UnitChange)
        desired = desired_state(change.desired or "")
        if change.text is not None:
            await self._services.check_company({name: change.text})
            unit = await self._services.registry.submit(name, change.text, desired=desired, replace=change.replace)
            revision = unit.revision
        elif desired is not None:
            revision = await self._services.registry.set_desired(name, desired)
        else:
            raise Conflict(f"nothing is asked of unit {name!r}: give its text, or what is desired of it")
        return reply(Written(await self._services.seen(revision)))

    async def destroy_unit(self, request: Request) -> Response:
        revision = await self._services.registry.destroy(request.path_params["name"])
        return reply(Written(await self._services.seen(revision)))

    async def explain(self, request: Request) -> Response:
        snapshot, name = await self._known(request)
        return reply(views.explain_report(explain(snapshot, name), snapshot))

    async def journal(self, request: Request) -> Response:
        snapshot, name = await self._known(request)
        lines = number(request, "lines", default=10, limit=MAX_JOURNAL_LINES)
        follow = request.query_params.get("follow", "0") not in ("", "0", "false")
        machine = machine_of(snapshot, name, request.query_params.get("machine"))
        pieces = self._services.agents.read(machine.address, name, lines=lines, follow=follow)
        await anext(pieces)  # an error can be told only before the answer begins
        return StreamingResponse(pieces, media_type="text/plain; charset=utf-8")

    async def _known(self, request: Request) -> tuple[Snapshot, UnitName]:
        snapshot, name = await self._services.snapshot(), UnitName(request.path_params["name"])
        if name not in snapshot.units:
            raise unknown(name)
        return snapshot, name

    async def _snapshot(self, request: Request) -> Snapshot:
        """What is known now, or as soon as it is newer than the request's `after`."""
        if "after" not in request.query_params:
            return await self._services.snapshot()
        after = number(request, "after", default=0, limit=2**63)
        return await self._services.changed(after, seconds(request, "wait_s", limit=MAX_WAIT_S))
