"""`/inaetics/v1/hosts`: which hosts the cluster has, and which of them are lost, with what they ran.

A machine is known to the fleet while it lives; that it ought to be there, `up` has written down, and it stays so until
somebody forgets it. Where the cluster runs
on one machine, whoever has the control token may cut a host's power and switch it on again.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from inaetics.api import inventory, power, views
from inaetics.api.control_token import need_person
from inaetics.api.hosts_wire import HostEntry, HostList, Inventory, InventoryHost
from inaetics.api.lost_hosts import Loss, losses, went
from inaetics.api.replies import reply
from inaetics.api.services import Services
from inaetics.errors import NotFound
from inaetics.fleet.events_ring import Wanted
from inaetics.fleet.model import Machine, Snapshot, natural

PATH = "/inaetics/v1/hosts"
CONTROL, LEADER = "control host", "engine's leader"
MAX_EVENTS = 10_000
"""Looked at for what became of lost hosts: as many as are in memory."""


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
        known, _ = await inventory.read(self._services.store)
        snapshot = await self._services.snapshot()
        absent = _absent(snapshot, known)
        lost = losses(self._services.chronicle.latest(Wanted(), MAX_EVENTS), absent) if absent else {}
        leader, local = self._services.health().leader or "", self._services.power_switch is not None
        return reply(host_list(snapshot, known, lost, leader=leader, local=local))

    async def turn(self, request: Request) -> Response:
        """Cut a worker's power, or switch it on again."""
        name, action = request.path_params["name"], request.path_params["action"]
        if action not in ("kill", "start"):
            raise NotFound(f"{action!r} cannot be done to a host: kill or start")
        await need_person(self._services.store, request, f"to {action} a host")
        known = {host.name for host in (await inventory.read(self._services.store))[0].hosts}
        if name not in known:
            raise NotFound(f"there is no host {name!r} (there are: {', '.join(sorted(known, key=natural))})")
        await power.turn(self._services.power_switch, action, name)
        return reply({})


def _absent(snapshot: Snapshot, known: Inventory) -> dict[str, InventoryHost]:
    there = {machine.name for machine in snapshot.machines.values()}
    return {host.name: host for host in known.hosts if host.name not in there}


def host_list(
    snapshot: Snapshot, known: Inventory, lost: Mapping[str, Loss], *, leader: str, local: bool = False
) -> HostList:
    """The fleet's machines, and what of the inventory is not among them: of these `lost` says what became. Pure."""
    control = {host.name for host in known.hosts if host.control}
    every: list[Machine | InventoryHost] = [*snapshot.machines.values(), *_absent(snapshot, known).values()]
    entries = [_entry(each, control, leader, snapshot, lost.get(each.name)) for each in every]
    ordered = tuple(sorted(entries, key=lambda each: natural(each.name)))
    return HostList(revision=snapshot.revision, hosts=ordered, local=local)


def _entry(
    host: Machine | InventoryHost, control: set[str], leader: str, snapshot: Snapshot, loss: Loss | None
) -> HostEntry:
    leads = host.name == leader and isinstance(host, Machine)  # who leads is asked now and then, and may be gone since
    offices = ((CONTROL, host.name in control), (LEADER, leads))
    held = tuple(office for office, holds in offices if holds)
    if isinstance(host, Machine):
        state = "cordoned" if host.cordoned else "up"
        return HostEntry(name=host.name, address=host.address, state=state, offices=held)
    return HostEntry(
        name=host.name,
        address=host.address,
        state="lost",
        offices=held,
        since=loss.since if loss else None,
        ran=went(host.name, loss, snapshot, lambda name: views.is_global(snapshot, name)),
    )
