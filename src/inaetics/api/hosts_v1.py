"""`/inaetics/v1/hosts`: which hosts the cluster has, and which of them are lost.

A machine is known to the fleet while it lives; that it ought to be there, `up` has written down. Where the cluster runs
on one machine, whoever has the control token may cut a host's power and switch it on again.
"""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from inaetics.api import power
from inaetics.api.control_token import need_person
from inaetics.api.hosts_wire import INVENTORY, HostEntry, HostList, Inventory, InventoryHost
from inaetics.api.replies import reply
from inaetics.api.services import Services
from inaetics.errors import NotFound, Unavailable
from inaetics.fleet.model import Machine, Snapshot, natural

PATH = "/inaetics/v1/hosts"
CONTROL, LEADER = "control host", "engine's leader"


def routes(services: Services) -> list[Route]:
    """The resources of hosts."""
    ours = _Hosts(services)
    return [
        Route(PATH, ours.list, methods=["GET"]),
        Route(f"{PATH}/{{name}}/{{action}}", ours.turn, methods=["POST"]),
    ]


class _Hosts:
    def __init__(self, services: Services) -> None:
        self._services = services

    async def list(self, request: Request) -> Response:
        snapshot = await self._services.snapshot()
        known = await self._inventory()
        leader, local = self._services.health().leader or "", self._services.power_switch is not None
        return reply(host_list(snapshot, known, leader=leader, local=local))

    async def turn(self, request: Request) -> Response:
        """Cut a worker's power, or switch it on again."""
        name, action = request.path_params["name"], request.path_params["action"]
        if action not in ("kill", "start"):
            raise NotFound(f"{action!r} cannot be done to a host: kill or start")
        await need_person(self._services.store, request, f"to {action} a host")
        known = {host.name for host in (await self._inventory()).hosts}
        if name not in known:
            raise NotFound(f"there is no host {name!r} (there are: {', '.join(sorted(known, key=natural))})")
        await power.turn(self._services.power_switch, action, name)
        return reply({})

    async def _inventory(self) -> Inventory:
        item = await self._services.store.get(INVENTORY)
        if item is None:
            return Inventory()
        try:
            return msgspec.json.decode(item.value, type=Inventory)
        except msgspec.DecodeError as error:
            raise Unavailable(f"{INVENTORY} in the store cannot be read (write it anew: inaetics up)") from error


def host_list(snapshot: Snapshot, known: Inventory, *, leader: str, local: bool = False) -> HostList:
    """The fleet's machines, and what of the inventory is not among them. Pure."""
    control = {host.name for host in known.hosts if host.control}
    machines = {machine.name: machine for machine in snapshot.machines.values()}
    absent = [host for host in known.hosts if host.name not in machines]
    every: list[Machine | InventoryHost] = [*machines.values(), *absent]
    entries = [_entry(each, control, leader) for each in every]
    ordered = tuple(sorted(entries, key=lambda each: natural(each.name)))
    return HostList(revision=snapshot.revision, hosts=ordered, local=local)


def _entry(host: Machine | InventoryHost, control: set[str], leader: str) -> HostEntry:
    offices = ((CONTROL, host.name in control), (LEADER, host.name == leader))
    return HostEntry(
        name=host.name,
        address=host.address,
        state="lost" if isinstance(host, InventoryHost) else "cordoned" if host.cordoned else "up",
        offices=tuple(office for office, holds in offices if holds),
    )
