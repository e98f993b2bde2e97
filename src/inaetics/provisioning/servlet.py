"""The server's page and its JSON, for people: looking only. Agents have a port of their own."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files

import msgspec
import structlog
from pelix.http import AbstractHTTPServletRequest, AbstractHTTPServletResponse

from inaetics.bundles.records import check_target
from inaetics.errors import InaeticsError, InvalidInput, NotFound
from inaetics.provisioning.answers import Answer, refusal, seconds
from inaetics.provisioning.audit import Audit
from inaetics.provisioning.desk import Desk
from inaetics.provisioning.overview import overview
from inaetics.provisioning.pages import query

log = structlog.get_logger()

_POLICY = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'"
_STATIC = {
    "": ("index.html", "text/html; charset=utf-8"),
    "app.js": ("app.js", "text/javascript; charset=utf-8"),
    "theme.css": ("theme.css", "text/css; charset=utf-8"),
    "style.css": ("style.css", "text/css; charset=utf-8"),
    "icon.svg": ("icon.svg", "image/svg+xml"),
}


class Servlet:
    """Answers every path of the page's port. Errors are JSON: ``{"error": {"message": …}}``."""

    def __init__(self, desk: Desk, audit: Audit | None = None) -> None:
        self._desk = desk
        self._audit = audit

    def do_GET(self, request: AbstractHTTPServletRequest, response: AbstractHTTPServletResponse) -> None:
        try:
            self._answer(request, response)
        except ConnectionError as error:  # as an agent that stops does to its held question
            log.debug("asker went away", error=str(error))

    def _answer(self, request: AbstractHTTPServletRequest, response: AbstractHTTPServletResponse) -> None:
        parts = request.get_path().strip("/").split("/")
        try:
            answer = self._route(parts)(request)
        except InaeticsError as error:
            answer = refusal(error)
        _send(response, answer)

    def _route(self, parts: list[str]) -> Callable[[AbstractHTTPServletRequest], Answer]:
        match parts:
            case [name] if name in _STATIC:
                return lambda _: _file(*_STATIC[name])
            case ["overview"]:
                return self._overview
            case ["deployments", target] if target:
                return lambda _: Answer(body=msgspec.json.encode(self._desk.deployment(check_target(target))))
            case _:
                path = "/".join(parts)
                raise NotFound(f"there is no /{path} (there are /, /overview and /deployments/TARGET)")

    def _overview(self, request: AbstractHTTPServletRequest) -> Answer:
        asked = query(request)
        after = asked.get("after", "-1")
        try:
            revision = self._desk.wait(int(after), seconds(asked))
        except ValueError as error:
            raise InvalidInput(f"after is {after!r}: it must be a revision") from error
        return Answer(body=msgspec.json.encode(overview(self._desk, self._audit, revision=revision)))


def _file(name: str, kind: str) -> Answer:
    folder = files("inaetics.look") if name == "theme.css" else files(__package__) / "static"
    return Answer(body=(folder / name).read_bytes(), kind=kind)


def _send(response: AbstractHTTPServletResponse, answer: Answer) -> None:
    response.set_response(answer.status)
    response.set_header("X-Content-Type-Options", "nosniff")
    response.set_header("Content-Security-Policy", _POLICY)
    response.set_header("Cache-Control", "no-store")
    if answer.status == 304:
        response.end_headers()
        return
    response.set_header("Content-Type", answer.kind)
    response.set_header("Content-Length", len(answer.body))
    response.end_headers()
    response.write(answer.body)
