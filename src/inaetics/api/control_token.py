"""The cluster's control token: who has it may do what the pages offer, as a person who was let in.

`up` makes it and writes its SHA-256 into the store, where only the API can read it; the token itself is in no store.
"""

from __future__ import annotations

import hmac

from starlette.requests import Request

from inaetics.api.peers import Right, peer_of
from inaetics.api.token_record import KEY, digest
from inaetics.errors import Forbidden, Unavailable
from inaetics.store.protocol import Store

_SCHEME = "bearer"


def presented(request: Request) -> str | None:
    """The token that a request carries (`Authorization: Bearer TOKEN`), if it carries one."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == _SCHEME else None


async def check(store: Store, token: str) -> None:
    """Return when it is the cluster's; raises `Forbidden`, `Unavailable`."""
    item = await store.get(KEY)
    if item is None:
        raise Unavailable("this cluster has no control token yet (inaetics up makes one)")
    if not hmac.compare_digest(item.value.strip(), digest(token)):
        raise Forbidden("this is not the cluster's control token (on the cluster's machine: inaetics token)")


async def person(store: Store, request: Request) -> str | None:
    """Who asks: "operator" for whoever may everything, "person" with the token; None for neither.

    A token that is wrong is never passed over: raises `Forbidden`.
    """
    if (token := presented(request)) is not None:
        await check(store, token)
    if peer_of(request).right is Right.EVERYTHING:
        return "operator"
    return "person" if token is not None else None


async def need_person(store: Store, request: Request, what: str) -> str:
    """As `person`; raises `Forbidden` for neither."""
    by = await person(store, request)
    if by is None:
        raise Forbidden(f"{what} needs the cluster's control token (on the cluster's machine: inaetics token)")
    return by
