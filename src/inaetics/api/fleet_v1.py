"""The original's HTTP API, `/fleet/v1`, so that clients built for it go on working.

A handler decodes, calls, encodes. Where the original is odd it is kept: a unit created without options is a conflict,
a change that asks for nothing as well; options other than the stored ones are another file, which counts from then on
(this is how the original's `--replace` comes to us).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from inaetics.api import views
from inaetics.api.discovery import DISCOVERY
from inaetics.api.paging import page_of
from inaetics.api.replies import JSON, read_json, reply
from inaetics.api.services import Services
from inaetics.api.wire import V1UnitChange
from inaetics.errors import Conflict, InvalidInput, NotFound
from inaetics.fleet.model import Desired, UnitName
from inaetics.units.grammar import Option, UnitFile, from_options, parse
from inaetics.units.names import parse_name

Handler = Callable[[Request], Awaitable[Response]]
PREFIX = "/fleet/v1"


def routes(services: Services) -> list[Route]:
    """The original's resources."""
    v1 = _FleetV1(services)
    return [
        Route(f"{PREFIX}/units", v1.list_units, methods=["GET"]),
        Route(f"{PREFIX}/units/{{name}}", v1.get_unit, methods=["GET"]),
        Route(f"{PREFIX}/units/{{name}}", v1.put_unit, methods=["PUT"]),
        Route(f"{PREFIX}/units/{{name}}", v1.delete_unit, methods=["DELETE"]),
        Route(f"{PREFIX}/state", v1.list_states, methods=["GET"]),
        Route(f"{PREFIX}/machines", v1.list_machines, methods=["GET"]),
        Route(f"{PREFIX}/discovery", v1.discovery, methods=["GET"]),
    ]


class _FleetV1:
    def __init__(self, services: Services) -> None:
        self._services = services

    async def list_units(self, request: Request) -> Response:
        snapshot = await self._services.snapshot()
        names, token = page_of(sorted(snapshot.units), request.query_params.getlist("nextPageToken"), "units")
        where = views.places(snapshot)
        units = [views.v1_unit(snapshot.units[name], where.get(name)) for name in names]
        return _page("units", units, token)

    async def get_unit(self, request: Request) -> Response:
        snapshot = await self._services.snapshot()
        name = UnitName(request.path_params["name"])
        unit = snapshot.units.get(name)
        if unit is None:
            raise unknown(name)
        return reply(views.v1_unit(unit, views.place_of(snapshot, name)))

    async def put_unit(self, request: Request) -> Response:
        name = request.path_params["name"]
        wanted = await read_json(request, V1UnitChange)
        if wanted.name not in (None, "", name):
            raise InvalidInput(f"name in URL {name!r} differs from unit name in request body {wanted.name!r}")
        parse_name(name)
        desired = desired_state(wanted.desired_state or "")
        given = [Option(one.section, one.name, one.value) for one in wanted.options or ()]
        file = from_options(given, source=name) if given else None
        known = (await self._services.snapshot()).units.get(UnitName(name))
        if known is None and file is None:
            raise Conflict(f"unit {name!r} does not exist and options field empty")
        if file is not None and (known is None or _by_section(file) != _by_section(parse(known.text))):
            return await self._store(name, str(file), desired, replace=known is not None)
        if desired is None:
            raise Conflict("must provide desiredState to update existing unit")
        await self._services.seen(await self._services.registry.set_desired(name, desired))
        return Response(status_code=204)

    async def _store(self, name: str, text: str, desired: Desired | None, *, replace: bool) -> Response:
        """Take the file; without a desired state a unit that exists keeps its own."""
        await self._services.check_company({name: text})
        unit = await self._services.registry.submit(name, text, desired=desired, replace=replace)
        await self._services.seen(unit.revision)
        return Response(status_code=201)

    async def delete_unit(self, request: Request) -> Response:
        await self._services.seen(await self._services.registry.destroy(request.path_params["name"]))
        return Response(status_code=204)

    async def list_states(self, request: Request) -> Response:
        query = request.query_params
        states = views.v1_states(
            await self._services.snapshot(), machine_id=query.get("machineID"), unit_name=query.get("unitName")
        )
        page, token = page_of(
            states, query.getlist("nextPageToken"), f"state {query.get('machineID')} {query.get('unitName')}"
        )
        return _page("states", page, token)

    async def list_machines(self, request: Request) -> Response:
        machines = views.v1_machines(await self._services.snapshot())
        page, token = page_of(machines, request.query_params.getlist("nextPageToken"), "machines")
        return _page("machines", page, token)

    async def discovery(self, request: Request) -> Response:
        return Response(DISCOVERY, media_type=JSON)


def _by_section(file: UnitFile) -> dict[str, list[tuple[str, str]]]:
    """What two files are compared by: between sections the order of options means nothing, within one it does."""
    found: dict[str, list[tuple[str, str]]] = {}
    for option in file.options:
        found.setdefault(option.section, []).append((option.name, option.value))
    return found


def _page(kind: str, items: object, token: str | None) -> Response:
    return reply({kind: items} if token is None else {kind: items, "nextPageToken": token})


def desired_state(text: str) -> Desired | None:
    """What is wanted, None when nothing was said."""
    if not text:
        return None
    try:
        return Desired(text)
    except ValueError:
        known = ", ".join(one.value for one in Desired)
        raise InvalidInput(f"desiredState {text!r} is none of {known}") from None


def unknown(name: str) -> NotFound:
    return NotFound(f"unit {name!r} does not exist (all units: fleetctl list-unit-files)")
