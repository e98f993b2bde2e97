"""An error keeps its kind on its way through HTTP: what the API answers is what its clients raise."""

from __future__ import annotations

import pytest

from inaetics.api.replies import BodyTooLarge, BodyTooSlow, WrongMediaType, error_reply, status_of
from inaetics.api.replies_read import error_of
from inaetics.errors import (
    Conflict,
    Forbidden,
    InaeticsError,
    InvalidInput,
    LeaseLost,
    NotFound,
    Unavailable,
)

KINDS: list[tuple[type[InaeticsError], type[InaeticsError]]] = [
    *((kind, kind) for kind in (InaeticsError, InvalidInput, Forbidden, NotFound, Conflict, Unavailable)),
    *((kind, InvalidInput) for kind in (BodyTooLarge, BodyTooSlow, WrongMediaType)),
    (LeaseLost, Unavailable),
]


@pytest.mark.parametrize(("told", "heard"), KINDS, ids=[told.__name__ for told, _ in KINDS])
def test_an_error_arrives_as_what_it_was(told: type[InaeticsError], heard: type[InaeticsError]) -> None:
    answer = error_reply(status_of(told("no room")), "no room")
    found = error_of(answer.status_code, "", bytes(answer.body))
    assert type(found) is heard
    assert str(found) == "no room"
