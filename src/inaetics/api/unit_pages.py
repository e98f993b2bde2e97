"""`/demonstrator/` and `/provisioning/`: pages of units, wherever the unit that serves each runs just now.

One address that survives the death of any worker but the one that is asked. Requests are passed on as they are; what
the page lets people do, it decides itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from html import escape
from urllib.parse import quote

import h11
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from inaetics.api.dashboard import wants_page
from inaetics.api.exchange import Exchange
from inaetics.api.replies import error_reply, read_body
from inaetics.api.services import Services
from inaetics.errors import Unavailable
from inaetics.fleet.model import Snapshot, UnitName
from inaetics.ports import PAGE_PORT, PAGE_UNIT, PROVISIONING_UNIT

PORT = PAGE_PORT
CONNECT_S = 2.0
ANSWER_S = 30.0
"""Until the head of an answer; its body may go on for ever."""

_SENT = {"accept", "content-type", "last-event-id", "authorization", "if-none-match"}
_KEPT = {"content-type", "content-length", "cache-control", "content-security-policy", "etag", "x-content-type-options"}
_KEPT |= {"referrer-policy", "cross-origin-resource-policy", "allow", "www-authenticate"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The page that `unit` serves, below `path`; `name` as people call it."""

    path: str
    unit: UnitName
    name: str
    methods: tuple[str, ...] = ("GET",)


PAGES = (
    Page(path="/demonstrator", unit=UnitName(PAGE_UNIT), name="demonstrator", methods=("GET", "POST")),
    Page(path="/provisioning", unit=UnitName(PROVISIONING_UNIT), name="provisioning"),
)

_WAITING = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="2">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>INAETICS {name}</title>
<link rel="icon" href="/dashboard/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/dashboard/theme.css"></head>
<body><header><img src="/dashboard/icon.svg" alt="" width="36" height="36"><h1>INAETICS {name}</h1></header>
<main><h2>The page is not there just now</h2><p>{why}</p>
<p class="muted">This page tries again every two seconds. Meanwhile: <a href="/dashboard/">the cluster</a>.</p>
</main></body></html>
"""


def routes(services: Services) -> list[Route]:
    """Everything below the prefixes."""
    return [route for page in PAGES for route in _routes(page, services)]


def _routes(page: Page, services: Services) -> list[Route]:
    async def to_page(request: Request) -> Response:
        return RedirectResponse(f"{page.path}/", 307)

    forward, methods = _Proxy(page, services).forward, list(page.methods)
    return [
        Route(page.path, to_page, methods=["GET"], include_in_schema=False),
        Route(f"{page.path}/{{path:path}}", forward, methods=methods, include_in_schema=False),
    ]


def where(snapshot: Snapshot, unit: UnitName) -> str:
    """The address of the machine that runs the page's unit; raises `Unavailable` with the reason when none does."""
    if unit not in snapshot.units:
        raise Unavailable(f"{unit} is not submitted (start the demonstrator: inaetics demo)")
    for (machine, name), state in snapshot.states.items():
        if name == unit and state.active == "active" and machine in snapshot.machines:
            return snapshot.machines[machine].address
    raise Unavailable(f"{unit} runs on no machine just now (why: fleetctl explain {unit})")


class _Proxy:
    def __init__(self, page: Page, services: Services) -> None:
        self._page = page
        self._services = services

    async def forward(self, request: Request) -> Response:
        """Pass a request on and its answer back."""
        body = await read_body(request) if request.method == "POST" else b""
        try:
            address = where(await self._services.snapshot(), self._page.unit)
            exchange = await _ask(self._page.unit, address, request, body)
        except Unavailable as error:
            if wants_page(request):
                text = _WAITING.format(name=self._page.name, why=escape(str(error)))
                return Response(text, 503, media_type="text/html; charset=utf-8")
            return error_reply(503, str(error))
        headers = {name: value for name, value in exchange.headers if name in _KEPT}
        return StreamingResponse(_body(exchange), exchange.status, headers)


async def _ask(unit: UnitName, address: str, request: Request, body: bytes) -> Exchange:
    """Pass the request on; returns once the answer begins. Raises `Unavailable`."""
    query = f"?{request.url.query}" if request.url.query else ""
    target = quote(f"/{request.path_params['path']}", safe="/@:") + query
    headers = [(name, value) for name, value in request.headers.items() if name in _SENT]
    try:
        async with asyncio.timeout(CONNECT_S):
            exchange = Exchange(*await asyncio.open_connection(address, PORT))
    except (OSError, TimeoutError) as error:
        raise Unavailable(f"{unit} on {address} does not answer on port {PORT}: {_reason(error)}") from error
    try:
        await exchange.ask(request.method, target, f"{address}:{PORT}", within_s=ANSWER_S, headers=headers, body=body)
    except BaseException as error:
        exchange.abort()
        if isinstance(error, OSError | TimeoutError | h11.RemoteProtocolError):
            raise Unavailable(f"{unit} on {address} gave no answer: {_reason(error)}") from error
        raise
    return exchange


async def _body(exchange: Exchange) -> AsyncIterator[bytes]:
    """What comes. When it breaks off, so does what the client gets: it must not look whole."""
    try:
        async for piece in exchange.body():
            yield piece
    finally:
        exchange.abort()


def _reason(error: Exception) -> str:
    return "no answer in time" if isinstance(error, TimeoutError) else str(error)
