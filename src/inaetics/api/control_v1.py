"""What is asked of the machine a unit is on, not of the fleet: restart it there, run a command in it.

The agent's server does it; this is the way to it. Both work while the store is silent.
"""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from inaetics.api import views
from inaetics.api.agents import Streams
from inaetics.api.fleet_v1 import unknown
from inaetics.api.replies import reply
from inaetics.api.services import Services
from inaetics.api.wire import MachineRef, Restarted
from inaetics.errors import Conflict, InvalidInput, NotFound
from inaetics.fleet.model import Machine, Snapshot, UnitName
from inaetics.override import override
from inaetics.store.background import beside

PREFIX = "/inaetics/v1"
FRAMES = "application/vnd.inaetics.frames"
_CHUNK = 32 * 1024


def routes(services: Services) -> list[Route]:
    """The resources below a unit that do something where it is."""
    ours = _ControlV1(services)
    return [
        Route(f"{PREFIX}/units/{{name}}/restart", ours.restart, methods=["POST"]),
        Route(f"{PREFIX}/units/{{name}}/exec", ours.run_command, methods=["POST"]),
    ]


class _ControlV1:
    def __init__(self, services: Services) -> None:
        self._services = services

    async def restart(self, request: Request) -> Response:
        machine, name = await self._where(request)
        since = await self._services.agents.restart(machine.address, name)
        return reply(Restarted(machine=MachineRef(machine.id, machine.name, machine.address), since=since))

    async def run_command(self, request: Request) -> Response:
        kind = request.headers.get("content-type", "")
        if kind != FRAMES:
            raise InvalidInput(f"the body's Content-Type is {kind or 'missing'}: a command is sent as {FRAMES}")
        machine, name = await self._where(request)
        return _Tunnel(self._services, machine.address, name)

    async def _where(self, request: Request) -> tuple[Machine, UnitName]:
        snapshot = await self._services.snapshot()
        name = UnitName(request.path_params["name"])
        if name not in snapshot.units:
            raise unknown(name)
        return machine_of(snapshot, name, request.query_params.get("machine")), name


def machine_of(snapshot: Snapshot, name: UnitName, wanted: str | None) -> Machine:
    """The live machine the unit is on; `wanted` (name, or the beginning of an id) chooses one of several.

    Raises `NotFound` when the unit is on no such machine, `Conflict` when it is on several and none was chosen.
    """
    holders = [snapshot.machines[at] for at, unit in snapshot.placements if unit == name and at in snapshot.machines]
    if wanted is not None:
        holders = [each for each in holders if each.name == wanted or each.id.startswith(wanted)]
        if not holders:
            raise NotFound(f"unit {name!r} is not on machine {wanted!r} (where it is: fleetctl list-units {name})")
    elif (place := views.place_of(snapshot, name)) is not None and not views.is_global(snapshot, name):
        holders = [each for each in holders if each.id == place.placement.machine]
    if not holders:
        raise NotFound(f"unit {name!r} is on no machine (why: fleetctl explain {name})")
    if len(holders) > 1:
        names = ", ".join(sorted(each.name for each in holders))
        raise Conflict(f"unit {name!r} is on several machines: choose one with machine= ({names})")
    return holders[0]


class _Tunnel(Response):
    """Carries frames between the client and the machine, both ways at once, as they are."""

    def __init__(self, services: Services, address: str, name: str) -> None:
        self._services = services
        self._address = address
        self._name = name
        self.background = None

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer. Whoever leaves first, client or machine, ends it; an error can be told only before the answer."""
        async with self._services.agents.open_exec(self._address, self._name) as streams:
            headers = [(b"content-type", FRAMES.encode()), (b"cache-control", b"no-store")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await _carry(streams, receive, send)


async def _carry(streams: Streams, receive: Receive, send: Send) -> None:
    reader, writer = streams
    try:
        async with beside(_upwards(receive, writer), name="exec: to the machine"):
            while data := await reader.read(_CHUNK):
                await send(_body(data, more=True))
    except ConnectionError:  # the machine went in the middle: without an end, the client knows
        return
    await send(_body(b"", more=False))


async def _upwards(receive: Receive, writer: asyncio.StreamWriter) -> None:
    while (message := await receive())["type"] == "http.request":
        if data := message.get("body", b""):
            writer.write(data)
            await writer.drain()
    raise ConnectionError("the client left")


def _body(data: bytes, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}
