"""`/inaetics/v1/hosts`: which hosts the cluster has, and which of them are lost.

A machine is known to the fleet while it lives; that it ought to be there, `up` has written down.
"""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from inaetics.api.hosts_wire import INVENTORY, HostEntry, HostList, Inventory, InventoryHost
from inaetics.api.replies import reply
from inaetics.api.services import Services
from inaetics.errors import Unavailable
from inaetics.fleet.model import Machine, Snapshot, natural

PATH = "/inaetics/v1/hosts"
CONTROL, LEADER = "control host", "engine's leader"


def routes(services: Services) -> list[Route]:
    """The resources of hosts."""
    ours = _Hosts(services)
    return [Route(PATH, ours.list, methods=["GET"])]


class _Hosts:
    def __init__(self, services: Services) -> None:
        self._services = services

    async def list(self, request: Request) -> Response:
        snapshot = await self._services.snapshot()
        known = await self._inventory()
        return reply(host_list(snapshot, known, leader=self._services.health().leader or ""))

    async def _inventory(self) -> Inventory:
        item = await self._services.store.get(INVENTORY)
        if item is None:
            return Inventory()
        try:
            return msgspec.json.decode(item.value, type=Inventory)
        except msgspec.DecodeError as error:
            raise Unavailable(f"{INVENTORY} in the store cannot be read (write it anew: inaetics up)") from error


def host_list(snapshot: Snapshot, known: Inventory, *, leader: str) -> HostList:
    """The fleet's machines, and what of the inventory is not among them. Pure."""
    control = {host.name for host in known.hosts if host.control}
    machines = {machine.name: machine for machine in snapshot.machines.values()}
    absent = [host for host in known.hosts if host.name not in machines]
    every: list[Machine | InventoryHost] = [*machines.values(), *absent]
    entries = [_entry(each, control, leader) for each in every]
    return HostList(revision=snapshot.revision, hosts=tuple(sorted(entries, key=lambda each: natural(each.name))))


def _entry(host: Machine | InventoryHost, control: set[str], leader: str) -> HostEntry:
    offices = ((CONTROL, host.name in control), (LEADER, host.name == leader))
    return HostEntry(
        name=host.name,
        address=host.address,
        state="lost" if isinstance(host, InventoryHost) else "cordoned" if host.cordoned else "up",
        offices=tuple(office for office, holds in offices if holds),
    )
