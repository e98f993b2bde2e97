"""Who is at the other end of a connection, and what they may ask for.

The names `operator` and `api` may change things. Every other certificate may read and nothing else: those issued with
`inaetics certificates issue --read-only`, and those of hosts, whose agents have no business here beyond looking: an
agent that could submit units would have every right there is. The Unix socket is its owner's, who may everything.
"""

from __future__ import annotations

from asyncio import Transport
from typing import TYPE_CHECKING

from uvicorn.protocols.http.h11_impl import H11Protocol

from inaetics.api.replies import error_reply
from inaetics.tls import common_name
from inaetics.units._override import override

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

MAY_CHANGE = frozenset({"operator", "api"})
READING = frozenset({"GET", "HEAD", "OPTIONS"})


class PeerProtocol(H11Protocol):
    """HTTP over one connection, whose certificate decides what is answered."""

    @override
    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        certificate = transport.get_extra_info("peercert")
        if certificate is not None and (name := common_name(certificate)) not in MAY_CHANGE:
            self.app = ReadOnly(self.app, name)


class ReadOnly:
    """Refuses what is more than reading."""

    def __init__(self, app: ASGIApp, name: str) -> None:
        self._app = app
        self._name = name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 403."""
        if scope["type"] == "http" and scope["method"] not in READING:
            what = f"{scope['method']} {scope['path']}"
            refusal = error_reply(403, f"the certificate {self._name!r} may only read: {what} needs the operator's")
            await refusal(scope, receive, send)
        else:
            await self._app(scope, receive, send)
