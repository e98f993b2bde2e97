"""Who is at the other end of a connection, and what they may ask for.

What a certificate opens is decided by the authority that signed it, and only then by the name it bears:

- of the cluster's own authority, the names `operator` and `api` may change things; every other one (those of hosts,
  whose agents have no business here beyond looking: an agent that could submit units would have every right there is)
  and every one of the readers' authority (`inaetics certificates issue --read-only`) may read and nothing else;
- one of the node agents' authority may ask for `NODES_MAY` and nothing else, whatever name it bears;
- one of any other authority gets nothing.

The Unix socket is its owner's, who may everything.
"""

from __future__ import annotations

import re
from asyncio import Transport
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from uvicorn.protocols.http.h11_impl import H11Protocol

from inaetics.api.replies import error_reply
from inaetics.containers.gate_identity import authority_names, identity_of
from inaetics.override import override

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

MAY_CHANGE = frozenset({"operator", "api"})
READING = frozenset({"GET", "HEAD", "OPTIONS"})

NODES_MAY = (
    "GET /inaetics/v1/hosts",
    "POST /inaetics/v1/hosts/{name}/{action}",
    "GET /inaetics/v1/machines",
    "GET /inaetics/v1/units",
    "GET /inaetics/v1/states",
    "GET /inaetics/v1/events",
    "GET /inaetics/v1/scale",
    "PUT /inaetics/v1/scale/sets/{kind}",
    "PUT /inaetics/v1/scale/automatic",
    "POST /inaetics/v1/token",
)
"""What a node agent may ask for, method and path as in `inaetics.api.operations`: what it shows on its page, and what
it may change within bounds that are not its own. Not what units contain, what they write, or what runs in them."""

PEER = "inaetics.peer"
"""Where a request's scope says who asks."""


class Right(StrEnum):
    """What somebody may ask for."""

    EVERYTHING = "everything"
    READ = "read"
    NODE = "node"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Who asks: the name in the certificate, and what it may. Over the Unix socket there is no name."""

    name: str
    right: Right


OWNER = Peer(name="", right=Right.EVERYTHING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorities:
    """The names of the authorities whose certificates are taken, by what these are for."""

    own: frozenset[str]
    nodes: frozenset[str] = frozenset()
    readers: frozenset[str] = frozenset()

    def peer(self, certificate: Any) -> Peer:
        """Who shows `certificate`, which `ssl` has verified."""
        found = identity_of(certificate)
        return Peer(name=found.name, right=self._right(found.issuer, found.name))

    def _right(self, issuer: str, name: str) -> Right:
        if issuer in self.nodes:
            return Right.NODE
        if issuer in self.own:
            return Right.EVERYTHING if name in MAY_CHANGE else Right.READ
        return Right.READ if issuer in self.readers else Right.NOTHING


def read_authorities(*, own: Path, nodes: Path, clients: Path) -> Authorities:
    """Read them: the cluster's own from `own`, the node agents' from `nodes` where that exists; readers' are the rest
    of `clients`, which holds everybody's."""
    own_names = authority_names(own)
    node_names = authority_names(nodes) - own_names if nodes.exists() else frozenset()
    return Authorities(own=own_names, nodes=node_names, readers=authority_names(clients) - own_names - node_names)


def peer_of(request: Request) -> Peer:
    """Who asks."""
    peer = request.scope.get(PEER, OWNER)
    assert isinstance(peer, Peer)
    return peer


class PeerProtocol(H11Protocol):
    """HTTP over one connection, whose certificate decides what is answered."""

    def __init__(self, *arguments: Any, authorities: Authorities | None = None, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._authorities = authorities

    @override
    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        certificate = transport.get_extra_info("peercert")
        if self._authorities is not None:
            self.app = Guarded(self.app, self._authorities.peer(certificate))


class Guarded:
    """Refuses what a peer may not ask for, and tells the application who asks."""

    def __init__(self, app: ASGIApp, peer: Peer) -> None:
        self._app = app
        self._peer = peer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 403."""
        if scope["type"] == "http" and (why := refusal(self._peer, scope["method"], scope["path"])):
            await error_reply(403, why)(scope, receive, send)
        else:
            await self._app({**scope, PEER: self._peer}, receive, send)


def refusal(peer: Peer, method: str, path: str) -> str:
    """Why `peer` may not ask for this; empty when it may."""
    what = f"{method} {path}"
    match peer.right:
        case Right.EVERYTHING:
            return ""
        case Right.READ if method in READING:
            return ""
        case Right.READ:
            return f"the certificate {peer.name!r} may only read: {what} needs the operator's"
        case Right.NODE if any(shape.fullmatch(what) for shape in _NODES_SHAPES):
            return ""
        case Right.NODE:
            return (
                f"the certificate {peer.name!r} is a node agent's: it may look at machines, units and events and ask"
                f" for scaling, but {what} needs the operator's"
            )
        case Right.NOTHING:
            return (
                f"the certificate {peer.name!r} is of an authority that this API did not know when it started"
                " (restart it: systemd does, or inaetics restart HOST)"
            )


def _shape(operation: str) -> re.Pattern[str]:
    """The requests that an operation stands for: one part of the path for each of its parameters."""
    return re.compile("[^/]+".join(re.escape(part) for part in re.split(r"\{\w+\}", operation)))


_NODES_SHAPES = tuple(map(_shape, NODES_MAY))
