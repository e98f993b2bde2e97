"""What a caller of a remote service gets when it does not get its answer.

::

    Unreachable             no answer; whether the call was carried out is not known
      NotCarriedOut         it was surely not: calling again, here or elsewhere, does nothing twice
        Withdrawn           the provider lives, but exports this service no more
    CallFailed              the service raised something that is not known here

All are `pelix.rsa.RemoteServiceError` too, which is what callers that know only Pelix expect.
"""

from __future__ import annotations

from typing import Any

from pelix.rsa import RemoteServiceError

from inaetics import errors
from inaetics.errors import InaeticsError, Unavailable
from inaetics.node.remote.wire import NO_ENDPOINT, NO_METHOD, NOT_CARRIED_OUT, Answer, Failure


class Unreachable(Unavailable, RemoteServiceError):
    """The provider is gone or silent. Whether the call was carried out is not known."""


class NotCarriedOut(Unreachable):
    """The call did not happen: there is no connection, or the provider said so. It may be tried again."""


class Withdrawn(NotCarriedOut):
    """The provider exports this service no more: another one may have taken its place."""


class CallFailed(InaeticsError, RemoteServiceError):
    """The provider raised. `kind` is the name of what it raised."""

    def __init__(self, message: str, *, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


_KNOWN = {kind.__name__: kind for kind in (errors.InvalidInput, errors.NotFound, errors.Conflict)}


def value_of(reply: Answer | Failure, method: str, where: str) -> Any:
    """What a call of `method` returned, or raise what it failed with."""
    if isinstance(reply, Answer):
        return reply.value
    raise failed(reply, method, where)


def failed(reply: Failure, method: str, where: str) -> InaeticsError:
    """The error to raise here for one that was raised there: of the same class when both sides know it."""
    if reply.reason == NO_ENDPOINT:
        return Withdrawn(f"cannot call {method} at {where}: it was withdrawn there")
    if reply.reason in NOT_CARRIED_OUT and reply.reason != NO_METHOD:
        return NotCarriedOut(f"cannot call {method} at {where}: {reply.message}")
    if reply.kind in _KNOWN:
        return _KNOWN[reply.kind](reply.message)
    if not reply.kind:  # it did not come so far
        return CallFailed(f"cannot call {method} at {where}: {reply.message}", kind="")
    return CallFailed(f"{method} failed there: {reply.kind}: {reply.message}", kind=reply.kind)
