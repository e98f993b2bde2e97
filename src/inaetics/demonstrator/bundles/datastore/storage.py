"""What the datastore needs of a database. SQLite is behind it today (`database`); one on a server may be later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from inaetics.demonstrator.api import Cut, Result, ResultBlock


class Storage(Protocol):
    """Results by the identity of their sample. Safe for use from many threads; a call is done whole or not at all."""

    def store(self, blocks: Sequence[ResultBlock]) -> int:
        """Keep what is new, durable against the death of this process; returns how many samples were new.

        A sample that was stored once is never new again, also when it was let go of to make room.
        """

    def find_between(self, begin_ms: int, end_ms: int, *, limit: int) -> list[Result]:
        """At most `limit` results of samples taken at or after `begin_ms` and before `end_ms`, oldest first."""

    def count(self, cut: Cut) -> int:
        """As `DataStore.count`."""

    def held(self) -> int:
        """Samples that are there."""

    def let_go(self) -> int:
        """Samples that were there and made room."""

    def size(self) -> int:
        """Bytes on disk."""

    def close(self) -> None: ...
