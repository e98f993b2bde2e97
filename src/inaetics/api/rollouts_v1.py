"""`/inaetics/v1/rollouts`: updates that are begun, followed, cancelled and looked back at."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from inaetics.api.inaetics_v1 import MAX_WAIT_S
from inaetics.api.queries import number, seconds
from inaetics.api.replies import read_json, reply
from inaetics.api.rollouts_wire import (
    PullEntry,
    RolloutEntry,
    RolloutList,
    RolloutReply,
    RolloutRequest,
    StepEntry,
)
from inaetics.api.services import Services
from inaetics.errors import NotFound
from inaetics.fleet.model import MachineId, Snapshot
from inaetics.fleet.rollout import Rollout, Step
from inaetics.fleet.rollout_desk import RolloutDesk
from inaetics.fleet.rollout_images import Pull
from inaetics.fleet.rollout_words import doing, seats
from inaetics.units.names import parse_name

PATH = "/inaetics/v1/rollouts"


def routes(services: Services) -> list[Route]:
    """The resources of rollouts."""
    ours = _Rollouts(services)
    return [
        Route(PATH, ours.listed, methods=["GET"]),
        Route(PATH, ours.begin, methods=["POST"]),
        Route(f"{PATH}/{{id}}", ours.one, methods=["GET"]),
        Route(f"{PATH}/{{id}}", ours.cancel, methods=["DELETE"]),
    ]


class _Rollouts:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._desk = RolloutDesk(services.store)

    async def listed(self, request: Request) -> Response:
        snapshot, unit = await self._services.snapshot(), request.query_params.get("unit", "")
        found = [each for each in snapshot.rollouts.values() if _concerns(each, unit)]
        found.sort(key=lambda each: (each.started_at, each.id), reverse=True)
        return reply(RolloutList(revision=snapshot.revision, rollouts=tuple(entry(each, snapshot) for each in found)))

    async def one(self, request: Request) -> Response:
        rollout_id = request.path_params["id"]
        snapshot = await self._services.snapshot()
        rollout = _known(snapshot, rollout_id)
        if "after" in request.query_params:
            after = number(request, "after", default=0, limit=2**63)
            wait_s = seconds(request, "wait_s", limit=MAX_WAIT_S)
            if rollout.runs:
                snapshot = await self._services.changed(after, wait_s)
        return reply(RolloutReply(revision=snapshot.revision, rollout=entry(_known(snapshot, rollout_id), snapshot)))

    async def begin(self, request: Request) -> Response:
        asked = await read_json(request, RolloutRequest)
        parse_name(asked.name)
        snapshot = await self._services.snapshot()
        if asked.plan:
            made, _ = self._desk.plan(snapshot, asked.name, asked.text, at_once=asked.at_once, by=asked.by)
            return reply(RolloutReply(revision=snapshot.revision, rollout=entry(made, snapshot)))
        made, revision = await self._desk.begin(snapshot, asked.name, asked.text, at_once=asked.at_once, by=asked.by)
        seen = await self._services.seen(revision)
        return reply(RolloutReply(revision=seen, rollout=entry(made, await self._services.snapshot())), 201)

    async def cancel(self, request: Request) -> Response:
        rollout_id = request.path_params["id"]
        revision = await self._desk.cancel(rollout_id, by=request.query_params.get("by", ""))
        await self._services.seen(revision)
        snapshot = await self._services.snapshot()
        return reply(RolloutReply(revision=snapshot.revision, rollout=entry(_known(snapshot, rollout_id), snapshot)))


def _known(snapshot: Snapshot, rollout_id: str) -> Rollout:
    rollout = snapshot.rollouts.get(rollout_id)
    if rollout is None:
        raise NotFound(f"there is no rollout {rollout_id!r} (what there is: fleetctl rollouts)")
    return rollout


def _concerns(rollout: Rollout, unit: str) -> bool:
    return not unit or unit == rollout.target or unit in rollout.units


def entry(rollout: Rollout, snapshot: Snapshot, pulls: Sequence[Pull] = ()) -> RolloutEntry:
    """A rollout, for clients: with what its units are doing, and with `pulls` what machines have to fetch for it."""
    fetched: dict[str, list[PullEntry]] = {}
    for each in pulls:
        fetched.setdefault(each.unit, []).append(PullEntry(machine=each.machine, size=each.size))
    homes = seats(snapshot, rollout) if rollout.runs else {}
    return RolloutEntry(
        id=rollout.id,
        target=rollout.target,
        phase=rollout.phase.value,
        old_hash=rollout.old_hash,
        new_hash=rollout.new_hash,
        at_once=rollout.at_once,
        by=rollout.by,
        started_at=rollout.started_at,
        ended_at=rollout.ended_at,
        reason=rollout.reason,
        cancelled_by=rollout.cancelled_by,
        steps=tuple(
            _step(snapshot, step, homes.get(step.unit, ()), fetched.get(step.unit, ())) for step in rollout.steps
        ),
        skipped=tuple(StepEntry(unit=name, progress="skipped", message=why) for name, why in rollout.skipped),
        of_images=rollout.of_images,
    )


def _step(snapshot: Snapshot, step: Step, machines: Sequence[MachineId], pulls: Sequence[PullEntry]) -> StepEntry:
    return StepEntry(
        unit=step.unit,
        progress=step.progress.value,
        at=step.at,
        message=step.message,
        machine=", ".join(snapshot.machines[machine].name for machine in machines),
        doing=doing(snapshot, step, machines),
        old_image=step.old_image,
        new_image=step.new_image,
        pulls=tuple(pulls),
    )
