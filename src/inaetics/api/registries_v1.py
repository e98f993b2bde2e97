"""`/inaetics/v1/images`: what the fleet needs of the image registries."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from inaetics.api.registries_wire import IMAGES, ImagesInUse
from inaetics.api.replies import reply
from inaetics.api.services import Services
from inaetics.fleet.images import digests_in_use


def routes(services: Services) -> list[Route]:
    """The one resource."""

    async def in_use(_request: Request) -> Response:
        snapshot = await services.snapshot()
        return reply(ImagesInUse(revision=snapshot.revision, digests=tuple(sorted(digests_in_use(snapshot)))))

    return [Route(IMAGES, in_use, methods=["GET"])]
