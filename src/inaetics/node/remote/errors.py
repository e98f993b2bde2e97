"""What a caller of a remote service gets when it does not get its answer.

All are `pelix.rsa.RemoteServiceError` too, which is what callers that know only Pelix expect.
"""

from __future__ import annotations

from pelix.rsa import RemoteServiceError

from inaetics import errors
from inaetics.errors import InaeticsError, Unavailable


class Unreachable(Unavailable, RemoteServiceError):
    """The provider is gone, silent or was withdrawn. Whether the call was carried out is not known."""


class CallFailed(InaeticsError, RemoteServiceError):
    """The provider raised. `kind` is the name of what it raised."""

    def __init__(self, message: str, *, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


_KNOWN = {kind.__name__: kind for kind in (errors.InvalidInput, errors.NotFound, errors.Conflict)}


def raised_by_provider(call: str, kind: str, message: str) -> InaeticsError:
    """The error to raise here for one that was raised there: of the same class when both sides know it."""
    if kind in _KNOWN:
        return _KNOWN[kind](message)
    return CallFailed(f"{call} failed there: {kind}: {message}", kind=kind)
