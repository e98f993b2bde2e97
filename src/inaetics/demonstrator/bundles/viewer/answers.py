"""Answers of the page's HTTP: files, JSON, errors, and what every one of them carries."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources.abc import Traversable

import msgspec
from pelix.http import AbstractHTTPServletRequest, AbstractHTTPServletResponse

from inaetics.errors import Conflict, Forbidden, InaeticsError, InvalidInput, NotFound, Unavailable

JSON = "application/json"
EVENTS = "text/event-stream"

_TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
    "png": "image/png",
    "webmanifest": "application/manifest+json",
}

SAFETY = {
    "Content-Security-Policy": "default-src 'self'; style-src 'self'; frame-ancestors 'self'; base-uri 'none'; "
    "form-action 'none'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Nothing of the page comes from elsewhere, nothing of it runs inside another's, and nothing is told to others."""


class TooLarge(InvalidInput):
    """A body over the limit: answered with 413."""


class WrongKind(InvalidInput):
    """A body that is not said to be JSON: answered with 415."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer, whole."""

    status: int = 200
    kind: str = JSON
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def json(value: object, *, status: int = 200) -> Answer:
    """An answer that nobody keeps: it is of this moment."""
    return Answer(status=status, body=msgspec.json.encode(value), headers={"Cache-Control": "no-store"})


def failure(status: int, message: str, **headers: str) -> Answer:
    """An error's entity, as the fleet API has it."""
    body = msgspec.json.encode({"error": {"code": status, "message": message}})
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status=status, body=body, headers={"Cache-Control": "no-store", **named})


def refusal(error: InaeticsError) -> Answer:
    """An error of ours in its own words."""
    match error:
        case TooLarge():
            return failure(413, str(error))
        case WrongKind():
            return failure(415, str(error))
        case InvalidInput() | NotFound():
            return failure(400, str(error))
        case Forbidden():
            return failure(401, str(error), WWW_Authenticate="Bearer")
        case Conflict():
            return failure(409, str(error))
        case Unavailable():
            return failure(503, str(error))
        case _:
            return failure(500, str(error))


def files_of(*folders: Traversable) -> dict[str, Answer]:
    """The files of folders by path, the first folder's where several have one; `/` is the page."""
    found: dict[str, Answer] = {}
    for folder in reversed(folders):
        for path, file in _walk(folder, "/"):
            body = file.read_bytes()
            tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
            kind = _TYPES[path.rpartition(".")[2]]
            found[path] = Answer(kind=kind, body=body, headers={"Cache-Control": "no-cache", "ETag": tag})
    if "/index.html" in found:
        found["/"] = found.pop("/index.html")
    return found


def _walk(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _walk(entry, f"{prefix}{entry.name}/")
        elif entry.name.rpartition(".")[2] in _TYPES:
            yield prefix + entry.name, entry


def send(request: AbstractHTTPServletRequest, response: AbstractHTTPServletResponse, answer: Answer) -> None:
    """Send an answer: without its body to HEAD, and neither when the browser has it already."""
    tag = answer.headers.get("ETag")
    if tag is not None and request.get_header("If-None-Match") == tag:
        answer = Answer(status=304, kind=answer.kind, headers=answer.headers)
    response.set_response(answer.status)
    send_head(response, answer)
    if request.get_command() != "HEAD" and answer.body:
        response.write(answer.body)


def send_head(response: AbstractHTTPServletResponse, answer: Answer, *, endless: bool = False) -> None:
    """Send all of an answer but its body; an `endless` one does not say how long that is."""
    response.set_header("Content-Type", answer.kind)
    if not endless and answer.status != 304:
        response.set_header("Content-Length", len(answer.body))
    for name, value in {**SAFETY, **answer.headers}.items():
        response.set_header(name, value)
    response.end_headers()
