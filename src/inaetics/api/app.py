"""The application: every resource, and what all answers have in common."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inaetics.api import (
    batch_v1,
    changes_v1,
    control_v1,
    dashboard,
    events_v1,
    fleet_v1,
    hosts_v1,
    images_v1,
    inaetics_v1,
    machines_v1,
    metrics_v1,
    openapi_v1,
    provisioning_v1,
    registries_v1,
    rollouts_v1,
    scale_v1,
    unit_pages,
)
from inaetics.api.metrics import Measured
from inaetics.api.pulse import Pulse
from inaetics.api.replies import error_reply, on_crash, on_inaetics_error
from inaetics.api.services import Services
from inaetics.api.wire import STALE_HEADER
from inaetics.errors import InaeticsError

RESOURCES = (
    fleet_v1,
    batch_v1,
    changes_v1,
    control_v1,
    dashboard,
    unit_pages,
    events_v1,
    hosts_v1,
    inaetics_v1,
    machines_v1,
    provisioning_v1,
    registries_v1,
    rollouts_v1,
    scale_v1,
    images_v1,
    metrics_v1,
    openapi_v1,
)
"""Modules with a function `routes(services)`. The first route that matches a request answers it."""


def build_app(services: Services) -> Starlette:
    """Put the API together over `services`."""
    routes: list[BaseRoute] = [route for resources in RESOURCES for route in resources.routes(services)]
    app = Starlette(
        routes=routes,
        exception_handlers={InaeticsError: on_inaetics_error, HTTPException: _on_http_error, Exception: on_crash},
        middleware=[
            Middleware(Measured, metrics=services.metrics, routes=routes),
            Middleware(SayStale, pulse=services.pulse),
        ],
    )
    app.router.redirect_slashes = False  # `/units/` is no resource, and nobody is sent elsewhere
    return app


class SayStale:
    """Adds a header to every answer given while the store is silent."""

    def __init__(self, app: ASGIApp, *, pulse: Pulse) -> None:
        self._app = app
        self._pulse = pulse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start" and (why := self._pulse.stale):
                MutableHeaders(scope=message)[STALE_HEADER] = why.encode("ascii", "replace").decode()
            await send(message)

        await self._app(scope, receive, send_marked)


async def _on_http_error(request: Request, error: Exception) -> Response:
    """Answer what the routes refuse: a path that is no resource, a method it does not have."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    match status:
        case 404 if request.scope["path"] == "/" and dashboard.wants_page(request):
            return RedirectResponse(f"{dashboard.PATH}/", 307)
        case 404 if request.scope["path"] in ("/", "/fleet/v1"):  # as the original answers there
            return error_reply(405, f"{request.scope['path']} is no resource of this API (see /fleet/v1/discovery)")
        case 404:
            return error_reply(404, f"{request.scope['path']} is no resource of this API (see /fleet/v1/discovery)")
        case 405:
            return error_reply(405, f"{request.method} is not supported against {request.scope['path']}")
        case _:
            return error_reply(status, str(error))
