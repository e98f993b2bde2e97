"""Answers: JSON, error entities, bodies with a limit. One place decides which error has which status."""

from __future__ import annotations

import asyncio
from typing import TypeVar

import msgspec
import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from inaetics.api.wire import ErrorBody, ErrorEntity
from inaetics.errors import Conflict, Forbidden, InaeticsError, InvalidInput, NotFound, Unavailable

BODY_WITHIN_S = 30.0
"""For a whole body: whoever sends it more slowly keeps a task and its memory for nothing."""

MAX_BODY_BYTES = 1024 * 1024
"""etcd refuses values over 1.5 MB; a unit file, as a list of options in JSON, takes more room than itself."""

JSON = "application/json"
Wire = TypeVar("Wire", bound=msgspec.Struct)
_log = structlog.get_logger()


class BodyTooLarge(InvalidInput):
    """The body is over `MAX_BODY_BYTES`: answered with 413."""


class BodyTooSlow(InvalidInput):
    """The body did not come within `BODY_WITHIN_S`: answered with 408."""


class WrongMediaType(InvalidInput):
    """The body is said to be something else than JSON: answered with 415."""


def reply(entity: object, status: int = 200) -> Response:
    """Answer with `entity` as JSON."""
    return Response(msgspec.json.encode(entity), status, media_type=JSON)


def error_reply(status: int, message: str) -> Response:
    """Answer with the original's error entity."""
    return reply(ErrorEntity(ErrorBody(status, message)), status)


def status_of(error: InaeticsError) -> int:
    """The HTTP status an error of ours is answered with."""
    match error:
        case BodyTooLarge():
            return 413
        case BodyTooSlow():
            return 408
        case WrongMediaType():
            return 415
        case InvalidInput():
            return 400
        case Forbidden():
            return 403
        case NotFound():
            return 404
        case Conflict():
            return 409
        case Unavailable():
            return 503
        case _:
            return 500


async def on_inaetics_error(request: Request, error: Exception) -> Response:
    """Answer an error of ours with its own words."""
    if not isinstance(error, InaeticsError):
        return await on_crash(request, error)
    status = status_of(error)
    if status >= 500:
        _log.warning(
            "request failed", method=request.method, path=request.scope["path"], status=status, error=str(error)
        )
    return error_reply(status, str(error))


async def on_crash(request: Request, error: Exception) -> Response:
    """Answer what nobody foresaw, without telling the client more than that it is our fault."""
    _log.error("request crashed", method=request.method, path=request.scope["path"], exc_info=error)
    return error_reply(500, f"{request.method} {request.scope['path']} failed inside the API: its journal says why")


async def read_body(request: Request) -> bytes:
    """Return the body; raises `BodyTooLarge` as soon as it is, `InvalidInput` when the client goes away midway."""
    body = bytearray()
    what = f"{request.method} {request.scope['path']}"
    try:
        async with asyncio.timeout(BODY_WITHIN_S):
            async for piece in request.stream():
                body += piece
                if len(body) > MAX_BODY_BYTES:
                    raise BodyTooLarge(f"the body of {what} is over {MAX_BODY_BYTES} bytes")
    except TimeoutError as error:
        raise BodyTooSlow(f"the body of {what} did not come within {BODY_WITHIN_S:g} s") from error
    except ClientDisconnect as error:
        raise InvalidInput(f"the client of {what} left before its body ended") from error
    return bytes(body)


async def read_json(request: Request, kind: type[Wire]) -> Wire:
    """Return the body as a `kind`; raises `InvalidInput` that says where it is malformed."""
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type != JSON:
        raise WrongMediaType(f"the body's Content-Type is {media_type or 'missing'}: only {JSON} is accepted")
    body = await read_body(request)
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"unable to decode body: {error}") from error
