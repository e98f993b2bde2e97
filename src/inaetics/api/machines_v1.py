"""Single machines: cordon, drain, metadata, forgetting; and evening out the fleet.

A machine is named by its id, the beginning of it, or its host's name. `GET` is held as listings are (`after=`,
`wait_s=`).
The original's `PATCH /fleet/v1/machines` edits metadata too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from inaetics.api import inventory, views
from inaetics.api.inaetics_v1 import MAX_WAIT_S
from inaetics.api.machines_wire import (
    LeftUnit,
    MachineChange,
    MachineDetail,
    MachineWritten,
    RebalanceAsk,
    RebalanceMove,
    RebalanceReport,
)
from inaetics.api.queries import number, seconds
from inaetics.api.replies import read_body, read_json, reply
from inaetics.api.services import Services
from inaetics.api.wire import MachineRef
from inaetics.errors import Conflict, InvalidInput, NotFound
from inaetics.fleet.balance import PlannedMove, plan_rebalance
from inaetics.fleet.drains import drain_of_machine
from inaetics.fleet.machine_names import find_machine, known_machines
from inaetics.fleet.model import MachineId, Snapshot
from inaetics.fleet.operators import Operators, Words

PREFIX = "/inaetics/v1"
MAX_AT_ONCE = 1000

_PATH = re.compile(r"/([^/]+)/metadata/([A-Za-z0-9_.-]+)")
_KEY = re.compile(r"[A-Za-z0-9_.-]+")


class _Operation(msgspec.Struct, frozen=True):
    """One step of the original's metadata edits."""

    op: str = ""
    path: str = ""
    value: str = ""


def routes(services: Services) -> list[Route]:
    """The resources."""
    ours = _Machines(services, Operators(services.store))
    return [
        Route(f"{PREFIX}/machines/{{id}}", ours.get, methods=["GET"]),
        Route(f"{PREFIX}/machines/{{id}}", ours.change, methods=["PATCH"]),
        Route(f"{PREFIX}/machines/{{id}}", ours.forget, methods=["DELETE"]),
        Route(f"{PREFIX}/rebalance", ours.rebalance_plan, methods=["GET"]),
        Route(f"{PREFIX}/rebalance", ours.rebalance, methods=["POST"]),
        Route("/fleet/v1/machines", ours.patch_v1, methods=["PATCH"]),
    ]


@dataclass(frozen=True, slots=True)
class _Machines:
    services: Services
    operators: Operators

    async def get(self, request: Request) -> Response:
        if "after" in request.query_params:
            after = number(request, "after", default=0, limit=2**63)
            await self.services.changed(after, seconds(request, "wait_s", limit=MAX_WAIT_S))
        machine, name = await self._meant(request)
        return reply(_detail(self.services, await self.services.snapshot(), machine, name))

    async def change(self, request: Request) -> Response:
        change = await read_json(request, MachineChange)
        for key, value in change.metadata.items():
            _check_metadata(key, value)
        if change.at_once is not None and not 1 <= change.at_once <= MAX_AT_ONCE:
            raise InvalidInput(
                f"at_once is {change.at_once}: give how many units may move together, 1 to {MAX_AT_ONCE}"
            )
        machine, name = await self._meant(request)
        words = Words(
            metadata=change.metadata,
            cordoned=change.cordoned,
            draining=change.draining,
            at_once=change.at_once,
        )
        revision = await self.services.seen(await self.operators.say({machine: words}))
        return reply(MachineWritten(revision=revision, id=machine, name=name))

    async def forget(self, request: Request) -> Response:
        """Forget a machine that has left: what is placed there, what was said of it, that it ought to be there."""
        try:
            machine, name = await self._meant(request)
        except NotFound:
            if (revision := await inventory.forget(self.services.store, host := request.path_params["id"])) is None:
                raise
            return reply(MachineWritten(revision=revision, id="", name=host))
        snapshot = await self.services.snapshot()
        if machine in snapshot.machines:
            raise Conflict(
                f"cannot forget {name or machine}: it is there"
                f" (empty it: fleetctl drain {name}; shut it down, and forget it when it has left the list)"
            )
        units = tuple(sorted(unit for where, unit in snapshot.placements if where == machine))
        revision = await self.services.seen(await self.operators.forget(machine))
        await inventory.forget(self.services.store, name)
        return reply(MachineWritten(revision=revision, id=machine, name=name, units=units))

    async def rebalance_plan(self, request: Request) -> Response:
        if "after" in request.query_params:
            after = number(request, "after", default=0, limit=2**63)
            await self.services.changed(after, seconds(request, "wait_s", limit=MAX_WAIT_S))
        snapshot = await self.services.snapshot()
        return reply(_report(snapshot, self._planned(snapshot)))

    async def rebalance(self, request: Request) -> Response:
        ask = await read_json(request, RebalanceAsk)
        if not 1 <= ask.at_once <= MAX_AT_ONCE:
            raise InvalidInput(f"at_once is {ask.at_once}: give how many units may move together, 1 to {MAX_AT_ONCE}")
        snapshot = await self.services.snapshot()
        report = _report(snapshot, planned := self._planned(snapshot))
        if not planned:
            return reply(report)
        moves = [(move.unit, move.source) for move in planned]
        revision = await self.services.seen(await self.operators.rebalance(moves, at_once=ask.at_once))
        return reply(msgspec.structs.replace(report, revision=revision, is_on=True, left=len(moves)))

    async def patch_v1(self, request: Request) -> Response:
        """Check every step first, as the original did; then do all of them together."""
        try:
            steps = msgspec.json.decode(await read_body(request), type=list[_Operation] | None) or []
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidInput(f"unable to decode body: {error}") from error
        edits: dict[MachineId, dict[str, str | None]] = {}
        for step in steps:
            machine, key = _checked(step)
            edits.setdefault(machine, {})[key] = None if step.op == "remove" else step.value
        if edits:
            words = {machine: Words(metadata=metadata) for machine, metadata in edits.items()}
            await self.services.seen(await self.operators.say(words))
        return Response(status_code=204)

    def _planned(self, snapshot: Snapshot) -> list[PlannedMove]:
        return plan_rebalance(snapshot, self.services.requirements)

    async def _meant(self, request: Request) -> tuple[MachineId, str]:
        """The machine of the request with its name; one that is not there is looked for in what people said, too."""
        word, snapshot = request.path_params["id"], await self.services.snapshot()
        known = known_machines(snapshot)
        if word not in known and word not in known.values():
            known = known_machines(await self.services.snapshot(), await self.operators.spoken_of())
        machine = find_machine(word, known)
        return machine, known[machine] or machine[:8]


def _checked(step: _Operation) -> tuple[MachineId, str]:
    """The machine and the key of one step; refused in the original's words."""
    if step.op not in ("add", "remove", "replace"):
        raise InvalidInput("invalid op: expect add, remove, or replace")
    match = _PATH.fullmatch(step.path)
    if match is None:
        raise InvalidInput("machine metadata path invalid")
    if step.op != "remove" and not step.value:
        raise InvalidInput("invalid value: add and replace require a value")
    return MachineId(match[1]), match[2]


def _check_metadata(key: str, value: str | None) -> None:
    if not _KEY.fullmatch(key):
        raise InvalidInput(f"{key!r} is no metadata key: use letters, digits and _ . - (as in zone=a)")
    if value == "" or (value is not None and any(character.isspace() or character in ',="' for character in value)):
        raise InvalidInput(f'{value!r} is no value for {key}: at least one character, no blanks, commas, = or "')


def _detail(services: Services, snapshot: Snapshot, machine: MachineId, name: str) -> MachineDetail:
    if machine not in snapshot.machines:
        units = sorted(unit for where, unit in snapshot.placements if where == machine)
        left = tuple(LeftUnit(unit, "stuck", "its machine is not there") for unit in units)
        return MachineDetail(revision=snapshot.revision, id=machine, name=name, left=left)
    drain = drain_of_machine(snapshot, machine, services.requirements)
    entry = next(each for each in views.machine_list(snapshot).machines if each.id == machine)
    return MachineDetail(
        revision=snapshot.revision,
        id=machine,
        name=name,
        machine=entry,
        left=tuple(LeftUnit(each.unit, each.fate.value, each.why) for each in drain.left),
        arriving=drain.arriving,
        is_over=drain.is_over,
    )


def _report(snapshot: Snapshot, planned: list[PlannedMove]) -> RebalanceReport:
    asked = snapshot.rebalance
    left = sum((machine, unit) in snapshot.placements for unit, machine in asked.moves) if asked else 0
    moves = tuple(
        RebalanceMove(
            unit=move.unit,
            source=_ref(snapshot, move.source),
            target=_ref(snapshot, move.target),
            because=move.reason,
        )
        for move in planned
    )
    return RebalanceReport(revision=snapshot.revision, moves=moves, is_on=asked is not None, left=left)


def _ref(snapshot: Snapshot, machine: MachineId) -> MachineRef:
    there = snapshot.machines[machine]
    return MachineRef(machine, there.name, there.address)
