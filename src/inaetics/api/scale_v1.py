"""`/inaetics/v1/scale`: how many agents of each declared set run, and changing that.

How many are wanted is not written down anywhere but in the units themselves; the record in the store holds the sets'
rules, whether the autoscaler may act, and what was decided. A node agent may change a number within the bounds that an
operator set: by itself only while automatic scaling is on, else with a person's token, which is checked here.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from inaetics.api import scale_plan
from inaetics.api.control_token import check, need_person, person, presented
from inaetics.api.peers import Right, peer_of
from inaetics.api.queries import number, seconds
from inaetics.api.replies import read_json, reply
from inaetics.api.scale_wire import (
    MOST_DECISIONS,
    AutomaticWish,
    DecisionEntry,
    Record,
    Rules,
    ScaleReply,
    ScaleReport,
    ScaleWish,
    SetEntry,
)
from inaetics.api.services import Services
from inaetics.errors import Conflict, Forbidden, NotFound, Unavailable
from inaetics.fleet.batch import Wish
from inaetics.fleet.keys import SCALE
from inaetics.fleet.model import Snapshot
from inaetics.store.protocol import ModIs, Put

PATH = "/inaetics/v1/scale"
MAX_WAIT_S = 60.0
ATTEMPTS = 5
LONGEST_REASON = 300


def routes(services: Services) -> list[Route]:
    """The resources of scaling."""
    ours = _Scale(services)
    return [
        Route(PATH, ours.show, methods=["GET"]),
        Route(f"{PATH}/sets", ours.declare, methods=["PUT"]),
        Route(f"{PATH}/automatic", ours.automatic, methods=["PUT"]),
        Route(f"{PATH}/sets/{{kind}}", ours.scale, methods=["PUT"]),
        Route("/inaetics/v1/token", ours.token, methods=["POST"]),
    ]


class _Scale:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._store = services.store

    async def show(self, request: Request) -> Response:
        if "after" in request.query_params:
            after = number(request, "after", default=0, limit=2**63)
            await self._services.changed(after, seconds(request, "wait_s", limit=MAX_WAIT_S))
        return reply(await self._report())

    async def declare(self, request: Request) -> Response:
        rules = await read_json(request, Rules)
        if peer_of(request).right is not Right.EVERYTHING:
            raise Forbidden("the bounds of scaling are the operator's alone to set")
        scale_plan.check_rules(rules)
        await self._change(lambda record: msgspec.structs.replace(record, sets=rules.sets))
        return reply(await self._report())

    async def automatic(self, request: Request) -> Response:
        wish = await read_json(request, AutomaticWish)
        await need_person(self._store, request, "switching automatic scaling")
        await self._change(lambda record: msgspec.structs.replace(record, automatic=wish.on))
        return reply(await self._report())

    async def token(self, request: Request) -> Response:
        """Say whether the request's token is the cluster's."""
        if (token := presented(request)) is None:
            raise Forbidden("no token was given (Authorization: Bearer TOKEN)")
        await check(self._store, token)
        return reply({})

    async def scale(self, request: Request) -> Response:
        wish = await read_json(request, ScaleWish)
        kind = request.path_params["kind"]
        by = await person(self._store, request) or "autoscaler"
        record, _ = await self._record()
        rule = record.sets.get(kind)
        if rule is None:
            raise NotFound(f"there is no set {kind!r} (there are: {', '.join(sorted(record.sets)) or _NO_SETS})")
        if by == "autoscaler" and not (record.automatic and rule.automatic):
            raise Forbidden(f"scaling {kind} needs the cluster's control token: automatic scaling of them is off")
        snapshot = await self._services.snapshot()
        now = scale_plan.entry(kind, rule, snapshot, self._services.requirements)
        scale_plan.check_count(now, wish.count, len(snapshot.machines))
        todo = scale_plan.wishes(rule, snapshot, wish.count)
        if not wish.plan:
            await self._do(kind, now, wish, todo, by)
        return reply(
            ScaleReply(
                kind=kind,
                before=now.wanted,
                after=wish.count,
                started=tuple(each.name for each in todo if not each.destroy),
                destroyed=tuple(each.name for each in todo if each.destroy),
                planned=wish.plan,
                report=await self._report(),
            )
        )

    async def _do(self, kind: str, now: SetEntry, wish: ScaleWish, todo: list[Wish], by: str) -> None:
        """Change the units, and write down who decided what. A person's wish ends automatic scaling, and first of all:
        what it does would be undone otherwise."""
        if by != "autoscaler" and now.automatic:
            await self._change(lambda record: msgspec.structs.replace(record, automatic=False))
        if not todo:
            return
        results = await self._services.registry.submit_many(todo)
        made = DecisionEntry(
            at_ms=round(time.time() * 1000),
            kind=kind,
            before=now.wanted,
            after=wish.count,
            by=by,
            reason=wish.reason[:LONGEST_REASON],
        )
        await self._change(
            lambda record: msgspec.structs.replace(record, decisions=(made, *record.decisions)[:MOST_DECISIONS])
        )
        await self._services.seen(max(result.revision for result in results))
        if failed := [result for result in results if result.error is not None and not _gone(todo, result.name)]:
            raise Conflict(f"not all of it was done: {failed[0].name}: {failed[0].error} (try again)")

    async def _report(self) -> ScaleReport:
        record, _ = await self._record()
        snapshot: Snapshot = await self._services.snapshot()
        cache = self._services.requirements
        sets = tuple(scale_plan.entry(kind, rule, snapshot, cache) for kind, rule in sorted(record.sets.items()))
        return ScaleReport(
            revision=snapshot.revision,
            automatic=record.automatic,
            sets=sets,
            decisions=record.decisions,
            rules=record.sets,
        )

    async def _record(self) -> tuple[Record, int]:
        item = await self._store.get(SCALE)
        if item is None:
            return Record(), 0
        try:
            return msgspec.json.decode(item.value, type=Record), item.mod_revision
        except msgspec.DecodeError as error:
            raise Unavailable(f"{SCALE} in the store cannot be read: {error}") from error

    async def _change(self, change: Callable[[Record], Record]) -> None:
        """Write the record as `change` makes it; decided anew when somebody else was quicker."""
        for _ in range(ATTEMPTS):
            old, revision = await self._record()
            new = change(old)
            if new == old:
                return
            try:
                written = await self._store.commit(
                    [Put(key=SCALE, value=msgspec.json.encode(new))], guards=[ModIs(key=SCALE, revision=revision)]
                )
            except Conflict:
                continue
            await self._services.seen(written)
            return
        raise Conflict("others changed the scaling at the same moment, again and again: try again")


_NO_SETS = "none; the demonstrator's are declared by inaetics_fleet_manager --start"


def _gone(todo: list[Wish], name: str) -> bool:
    """Whether a unit was to be destroyed: that somebody else did it is no failure."""
    return any(each.destroy for each in todo if each.name == name)
