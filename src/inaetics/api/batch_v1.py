"""Many units in one request: `PUT /inaetics/v1/units`.

Promises: everything is checked before anything is written, so one bad entry changes nothing; what is written takes few
transactions, whatever the number of units. A unit that somebody else changed at the same moment has an error of its
own in the answer, and the others are done.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from inaetics.api.fleet_v1 import desired_state
from inaetics.api.replies import read_json, reply, status_of
from inaetics.api.services import Services
from inaetics.api.wire import Batch, BatchEntry, BatchReport, BatchResult, ErrorBody
from inaetics.fleet.batch import Result, Wish
from inaetics.fleet.mapper import content_hash

PATH = "/inaetics/v1/units"


def routes(services: Services) -> list[Route]:
    """The resource."""

    async def put_units(request: Request) -> Response:
        batch = await read_json(request, Batch)
        await services.check_company(await _files(services, batch))
        results = await services.registry.submit_many([_wish(entry) for entry in batch.units])
        revision = max((result.revision for result in results), default=0)
        await services.seen(revision)
        return reply(BatchReport(revision, tuple(map(_result, results))))

    return [Route(PATH, put_units, methods=["PUT"])]


async def _files(services: Services, batch: Batch) -> dict[str, str]:
    """The files of the batch by unit; those that are named by hash are among its texts, or known."""
    snapshot = await services.snapshot()
    texts = {content_hash(entry.text): entry.text for entry in batch.units if entry.text is not None}
    found: dict[str, str] = {}
    for entry in batch.units:
        if entry.text is not None:
            found[entry.name] = entry.text
        elif entry.hash is not None:
            known = snapshot.files.get(entry.hash)
            found[entry.name] = texts.get(entry.hash) or (known.text if known else "")
    return found


def _wish(entry: BatchEntry) -> Wish:
    return Wish(
        name=entry.name,
        text=entry.text,
        content_hash=entry.hash,
        desired=desired_state(entry.desired or ""),
        replace=entry.replace,
        destroy=entry.destroy,
    )


def _result(result: Result) -> BatchResult:
    error = ErrorBody(status_of(result.error), str(result.error)) if result.error else None
    return BatchResult(name=result.name, revision=result.revision, changed=result.changed, error=error)
