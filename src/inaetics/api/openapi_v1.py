"""`GET /inaetics/v1/openapi.json`: the API's description, of what this very process serves.

What makes it is loaded when it is asked for: most processes are never asked, and it is 1.5 MB.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from inaetics.api.replies import reply
from inaetics.api.services import Services

PATH = "/inaetics/v1/openapi.json"


def routes(services: Services) -> list[Route]:
    """The resource."""
    made: list[dict[str, Any]] = []

    async def openapi(request: Request) -> Response:
        if not made:
            from inaetics.api.openapi import describe

            made.append(describe(request.app.routes))
        return reply(made[0])

    return [Route(PATH, openapi, methods=["GET"])]
