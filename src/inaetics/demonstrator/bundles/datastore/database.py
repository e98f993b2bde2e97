"""Results in SQLite: one row a sample, whatever is stored how often.

Journal mode WAL with `synchronous=NORMAL`: what was committed survives the death of the process, not always that of
the machine's power; then the database is still whole (SQLite manual, "PRAGMA synchronous").
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

from inaetics.demonstrator.api import Result, Sample

_SCHEMA = """
create table if not exists result (
    producer text not null, sequence integer not null, time_ms integer not null,
    value1 real not null, value2 real not null, processed_ms integer not null, result1 real not null,
    primary key (producer, sequence)
) without rowid;
create index if not exists result_time on result (time_ms);
"""


class Database:
    """Results on disk. `keep` is how many rows stay when old ones are removed; safe for use from many threads."""

    def __init__(self, path: Path, *, keep: int) -> None:
        self._keep = keep
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("pragma journal_mode=wal")
        self._connection.execute("pragma synchronous=normal")
        self._connection.executescript(_SCHEMA)
        (self.rows,) = self._connection.execute("select count(*) from result").fetchone()

    def store(self, results: Sequence[Result]) -> int:
        """Keep all in one transaction; returns how many were new."""
        rows = [
            (
                r.sample.producer,
                r.sample.sequence,
                r.sample.time_ms,
                r.sample.value1,
                r.sample.value2,
                r.processed_ms,
                r.result1,
            )
            for r in results
        ]
        with self._lock:
            before = self._connection.total_changes
            self._connection.execute("begin immediate")
            try:
                self._connection.executemany("insert or ignore into result values (?,?,?,?,?,?,?)", rows)
            except sqlite3.Error:
                self._connection.execute("rollback")
                raise
            self._connection.execute("commit")
            new = self._connection.total_changes - before
            self.rows += new
            if self.rows > self._keep * 1.1:
                self._remove_oldest()
        return new

    def find_between(self, begin_ms: int, end_ms: int, *, limit: int) -> list[Result]:
        """At most `limit` results of samples taken at or after `begin_ms` and before `end_ms`, oldest first."""
        with self._lock:
            rows = self._connection.execute(
                "select processed_ms, result1, time_ms, value1, value2, producer, sequence from result"
                " where time_ms >= ? and time_ms < ? order by time_ms, producer, sequence limit ?",
                (begin_ms, end_ms, limit),
            ).fetchall()
        return [Result(processed, result, Sample(*sample)) for processed, result, *sample in rows]

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def _remove_oldest(self) -> None:
        surplus = self.rows - self._keep
        removed = self._connection.execute(
            "delete from result where (producer, sequence) in"
            " (select producer, sequence from result order by time_ms limit ?)",
            (surplus,),
        ).rowcount
        self.rows -= removed
