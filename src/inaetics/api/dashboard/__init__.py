"""The cluster's own page: machines, units and their reasons, events and journals as they come, the agents' software.

What can be changed here is the mapping alone, each time after a plan. The page lives off the same API as everybody. It
is reached with a certificate of the cluster; `inaetics dashboard` is the way there for a browser that has none
(`inaetics.api.gateway`).
"""

from __future__ import annotations

from importlib.resources import files

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from inaetics.api.replies import error_reply
from inaetics.api.services import Services

PATH = "/dashboard"

_KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_FILES = {
    "": ("inaetics.api.dashboard", "index.html"),
    "common.js": ("inaetics.api.dashboard", "common.js"),
    "dashboard.js": ("inaetics.api.dashboard", "dashboard.js"),
    "details.js": ("inaetics.api.dashboard", "details.js"),
    "events.js": ("inaetics.api.dashboard", "events.js"),
    "software.js": ("inaetics.api.dashboard", "software.js"),
    "software_change.js": ("inaetics.api.dashboard", "software_change.js"),
    "dashboard.css": ("inaetics.api.dashboard", "dashboard.css"),
    "software.css": ("inaetics.api.dashboard", "software.css"),
    "parts.js": ("inaetics.look", "parts.js"),
    "theme.css": ("inaetics.look", "theme.css"),
    "icon.svg": ("inaetics.look", "icon.svg"),
}

POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; frame-ancestors 'self'"
"""Nothing of the page comes from elsewhere; positions of bars are inline styles."""


def routes(services: Services) -> list[Route]:
    """The page and its files."""
    return [
        Route(PATH, _to_page, methods=["GET"], include_in_schema=False),
        Route(f"{PATH}/{{file:path}}", _file, methods=["GET"], include_in_schema=False),
    ]


def wants_page(request: Request) -> bool:
    """Is it a person's browser that asks, and not a program?"""
    return "text/html" in request.headers.get("accept", "")


async def _to_page(request: Request) -> Response:
    return RedirectResponse(f"{PATH}/", 307)


async def _file(request: Request) -> Response:
    found = _FILES.get(request.path_params["file"])
    if found is None:
        return error_reply(404, f"{request.url.path} is no part of the dashboard (it is at {PATH}/)")
    package, name = found
    kind = f"{_KINDS[name.rpartition('.')[2]]}; charset=utf-8"
    headers = {
        "Cache-Control": "no-cache",
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    # Read each time: people who look are few, and a daemon's memory is counted.
    return Response((files(package) / name).read_bytes(), media_type=kind, headers=headers)
