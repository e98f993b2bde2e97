"""The datastore as a remote service."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
from pelix.framework import BundleContext
from pelix.ipopo.decorators import (
    ComponentFactory,
    Instantiate,
    Invalidate,
    Property,
    Provides,
    Validate,
)

from inaetics.demonstrator.api import DATA_STORE, STATS_PROVIDER, Result, Stat

from .database import Database

KEEP_ROWS = 500_000
"""About 50 MB on disk."""

MOST_FOUND = 10_000
"""Results in one answer."""


@ComponentFactory(__name__ + ".datastore")
@Provides([DATA_STORE, STATS_PROVIDER])
@Property("_exported", "service.exported.interfaces", [DATA_STORE])
@Instantiate(__name__ + ".datastore")
class Store:
    """A `DataStore` in the agent's data folder; it stays on its host when the agent moves."""

    _database: Database

    def __init__(self) -> None:
        self._stored = 0
        self._repeated = 0

    @Validate
    def validate(self, context: BundleContext) -> None:
        folder = Path(context.get_property("inaetics.data"))
        self._database = Database(folder / "results.sqlite", keep=KEEP_ROWS)

    @Invalidate
    def invalidate(self, _context: BundleContext) -> None:
        self._database.close()

    def store(self, result: Result) -> int:
        return self.store_all([result])

    def store_all(self, results: Sequence[Result]) -> int:
        values = msgspec.convert(results, list[Result])
        new = self._database.store(values)
        self._stored += new
        self._repeated += len(values) - new
        return new

    def find_between(self, begin_ms: int, end_ms: int) -> list[Result]:
        return self._database.find_between(begin_ms, end_ms, limit=MOST_FOUND)

    def stats(self) -> list[Stat]:
        return [
            Stat("stored", "counter", "samples", self._stored),
            Stat("repeated", "counter", "samples", self._repeated),
            Stat("rows", "gauge", "samples", self._database.rows),
        ]
