"""The tree of errors: its root and the branches that every room may catch.

Every message says what could not be done, to what, where, why, and what would help. Libraries' errors are
translated at the edge, with ``from``. A subclass exists only where a caller acts differently::

    InaeticsError
    ├── InvalidInput          what a person or a peer gave is wrong: nothing was changed
    │   └── UnitFileError     a unit file is malformed or refused; carries the line
    ├── NotFound              the thing named does not exist
    ├── Conflict              it exists already, or was changed by somebody else meanwhile
    ├── Unavailable           a component does not answer (store, supervisor, registry, API): try again
    │   └── LeaseLost         a lease ended: what was written under it is gone
    ├── Forbidden             who asks may not do this: a token or a certificate does not allow it
    └── CommandFailed         a program we ran failed; carries its own words

A room adds leaves to it where its own callers act differently, in the module that raises them: registries
(`containers`: Refusal, Refused, Cut, Lie, NoRoom), bodies of requests (`api.replies`, the viewer's `answers`), remote
services (`node.remote.errors`), bundles (`node`: Overdue, NotInstalled). Outside the room they are what they hang from.
An exception that never leaves its module, or stands for a library's, is outside the tree.
"""

from __future__ import annotations


class InaeticsError(Exception):
    """Anything the project reports to a person; `str(error)` is the whole message, ready to be shown."""

    exit_code = 1


class InvalidInput(InaeticsError):
    """What was given is wrong; nothing was changed."""

    exit_code = 2


class UnitFileError(InvalidInput):
    """A unit file is malformed or refused.

    `line` is the 1-based line in the file, or None when the error belongs to no single line.
    """

    def __init__(self, message: str, *, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


class NotFound(InaeticsError):
    """The thing named does not exist."""

    exit_code = 4


class Conflict(InaeticsError):
    """It exists already, or somebody else changed it in between."""

    exit_code = 5


class Unavailable(InaeticsError):
    """A component does not answer now; the same request may succeed later."""

    exit_code = 3


class Forbidden(InaeticsError):
    """Who asks may not do this."""

    exit_code = 6


class LeaseLost(Unavailable):
    """A lease ended: every key written under it is gone."""


class CommandFailed(InaeticsError):
    """A program we ran failed. `output` is what it said, `status` its exit status (negative: the signal)."""

    def __init__(self, message: str, *, status: int, output: str) -> None:
        super().__init__(message)
        self.status = status
        self.output = output


def leaves(error: BaseException) -> list[BaseException]:
    """The errors in a group and in the groups in it, in order; alone what is no group."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for each in error.exceptions for leaf in leaves(each)]


def error_of_status(status: int) -> type[InaeticsError]:
    """The error that an answer with this HTTP status stands for; the root itself for what nobody can act on."""
    return _STATUSES.get(status, InaeticsError)


_STATUSES: dict[int, type[InaeticsError]] = {
    400: InvalidInput,
    401: Forbidden,
    403: Forbidden,
    404: NotFound,
    408: InvalidInput,
    409: Conflict,
    413: InvalidInput,
    415: InvalidInput,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}
