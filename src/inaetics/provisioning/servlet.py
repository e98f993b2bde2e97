"""The server's HTTP face: deployments (held), bundles, and a page for people."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import structlog
from pelix.http import AbstractHTTPServletRequest, AbstractHTTPServletResponse

from inaetics.errors import InaeticsError, InvalidInput, NotFound
from inaetics.provisioning.desk import Contact, Desk
from inaetics.provisioning.page import render
from inaetics.provisioning.pages import query

log = structlog.get_logger()

MAX_WAIT_S = 60.0
_STATUS: dict[type[InaeticsError], int] = {InvalidInput: 400, NotFound: 404}


class Servlet:
    """Answers every path of the server. Errors are JSON: ``{"error": {"message": …}}``."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def do_GET(self, request: AbstractHTTPServletRequest, response: AbstractHTTPServletResponse) -> None:
        try:
            self._answer(request, response)
        except ConnectionError as error:  # as an agent that stops does to its held question
            log.debug("asker went away", error=str(error))

    def _answer(self, request: AbstractHTTPServletRequest, response: AbstractHTTPServletResponse) -> None:
        parts = request.get_path().strip("/").split("/")
        try:
            self._route(parts)(request, response)
        except InaeticsError as error:
            _json(response, {"error": {"message": str(error)}}, status=_STATUS.get(type(error), 503))

    def _route(self, parts: list[str]) -> Callable[[AbstractHTTPServletRequest, AbstractHTTPServletResponse], None]:
        match parts:
            case [""]:
                return self._page
            case ["deployments", target] if target:
                return lambda request, response: self._deployment(target, request, response)
            case ["bundles", name, version]:
                return lambda _, response: self._bundle(name, version, response)
            case _:
                path = "/".join(parts)
                raise NotFound(f"there is no /{path} (there are /, /deployments/TARGET and /bundles/NAME/VERSION)")

    def _page(self, _: AbstractHTTPServletRequest, response: AbstractHTTPServletResponse) -> None:
        response.set_header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src data:")
        response.set_header("Cache-Control", "no-store")
        _send(response, 200, render(self._desk).encode(), "text/html; charset=utf-8")

    def _deployment(
        self, target: str, request: AbstractHTTPServletRequest, response: AbstractHTTPServletResponse
    ) -> None:
        asked = query(request)
        contact = Contact(
            target=target[:100],
            where=asked.get("where", request.get_client_address()[0])[:100],
            running=asked.get("running", "")[:100],
            error=asked.get("error", "")[:1000],
            at=0.0,
        )
        found = self._desk.ask(contact, after=asked.get("after", ""), wait_s=_seconds(asked.get("wait_s", "0")))
        if found is None:
            response.set_response(304)
            response.end_headers()
        else:
            _json(response, found)

    def _bundle(self, name: str, version: str, response: AbstractHTTPServletResponse) -> None:
        archive = self._desk.repository.archives.get((name, version))
        if archive is None:
            raise NotFound(f"there is no bundle {name} {version}")
        try:
            data = archive.path.read_bytes()
        except OSError as error:
            raise NotFound(f"cannot read bundle {name} {version}: {error.strerror or error}") from error
        _send(response, 200, data, "application/zip")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError as error:
        raise InvalidInput(f"wait_s is {text!r}: it must be seconds") from error
    return min(max(seconds, 0.0), MAX_WAIT_S) if seconds == seconds else 0.0


def _json(response: AbstractHTTPServletResponse, value: object, *, status: int = 200) -> None:
    _send(response, status, msgspec.json.encode(value), "application/json")


def _send(response: AbstractHTTPServletResponse, status: int, body: bytes, content_type: str) -> None:
    response.set_response(status)
    response.set_header("Content-Type", content_type)
    response.set_header("Content-Length", len(body))
    response.set_header("X-Content-Type-Options", "nosniff")
    response.end_headers()
    response.write(body)
