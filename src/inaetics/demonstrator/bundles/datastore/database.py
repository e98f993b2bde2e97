"""Results in SQLite: a row holds a run of one producer's samples by columns; no sample is in two rows.

Measured (`python -m bench.stores`): a row for each sample costs over ten times the processor time, DuckDB more yet.
Each transaction looks up which of the samples offered are there, or were let go of, and inserts the others: that makes
storing exact and repeatable, also with two processes at one file. Triggers count what is in the table, so that the
count follows the rows themselves and not what this code meant to do.

Tables, also for readers from outside (`inaetics.demonstrator.check`): `producer` (id, name, held, let_go), `block` (its
samples `first` to `last` inclusive; `data`: the columns time_ms, value1, value2, processed_ms, result1, each 8 bytes a
sample, little endian) and `gone` (samples that were let go of to make room). `longest` is the longest time that a row
has spanned: `find_between` needs to look no further back for rows that reach into its time.

Journal mode WAL with `synchronous=NORMAL`: what was committed survives the death of the process, not always that of
the machine's power; then the database is still whole (SQLite manual, "PRAGMA synchronous").
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from inaetics.demonstrator.api import Cut, ProducerRecord, Result, ResultBlock, SampleBlock
from inaetics.demonstrator.blocks import WIDTH, result_part, results_of, unpacked

_SCHEMA = """
create table if not exists producer (
    id integer primary key, name text not null unique,
    held integer not null default 0, let_go integer not null default 0
);
create table if not exists block (
    id integer primary key, producer integer not null references producer (id),
    first integer not null, last integer not null,
    time_from integer not null, time_to integer not null, data blob not null
);
create unique index if not exists block_samples on block (producer, first, last);
create index if not exists block_times on block (time_from, time_to);
create table if not exists gone (
    producer integer not null references producer (id), first integer not null, last integer not null,
    primary key (producer, first)
) without rowid;
create table if not exists longest (span integer not null);
insert into longest select (select coalesce(max(time_to - time_from), 0) from block)
    where not exists (select * from longest);
create trigger if not exists block_longest after insert on block begin
    update longest set span = new.time_to - new.time_from where span < new.time_to - new.time_from;
end;
create trigger if not exists block_in after insert on block begin
    update producer set held = held + new.last - new.first + 1 where id = new.producer;
end;
create trigger if not exists block_out after delete on block begin
    update producer set held = held - (old.last - old.first + 1) where id = old.producer;
end;
"""

# Rows of one producer do not overlap: at most one begins before `:low` and reaches it, the last that begins there.
_OVERLAPS = """
select first, last from {table} where producer = :producer and last >= :low and first <= :high
    and first >= coalesce((select max(first) from {table} where producer = :producer and first <= :low), :low)
"""
_OVERLAPPING = f"{_OVERLAPS.format(table='block')} union all {_OVERLAPS.format(table='gone')} order by 1"

_LAST = 2**62
_BUSY_S = 10.0
"""How long another process at the same file (an older version that still runs) is waited for."""
_LOOK_EVERY = 64
"""Stores between two looks at the file's size."""


class Database:
    """A `Storage` in one file of about `keep_bytes`: the results stored first make room."""

    def __init__(self, path: Path, *, keep_bytes: int) -> None:
        self._keep_bytes = keep_bytes
        self._lock = threading.Lock()
        self._ids: dict[str, int] = {}
        self._stores = 0
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=_BUSY_S)
        self._connection.execute("pragma journal_mode=wal")
        self._connection.execute("pragma synchronous=normal")
        self._connection.executescript(_SCHEMA)

    def store(self, blocks: Sequence[ResultBlock]) -> int:
        with self._lock:
            with self._transaction():
                new = sum(self._insert(block) for block in blocks)
            self._stores += 1
            if self._stores % _LOOK_EVERY == 0:
                self._make_room()
        return new

    def find_between(self, begin_ms: int, end_ms: int, *, limit: int) -> list[Result]:
        with self._lock:
            (span,) = self._connection.execute("select span from longest").fetchone()
            found = self._connection.execute(
                "select time_from, name, first, last, data from block join producer on producer.id = block.producer"
                " where time_from < :end and time_from >= :begin - :span and time_to >= :begin order by time_from",
                {"begin": begin_ms, "end": end_ms, "span": span},
            )
            results: list[Result] = []
            for time_from, name, first, last, data in found:
                if len(results) >= limit and time_from > _oldest(results, limit):
                    break  # all further ones are younger
                some = results_of(_read(name, first, last, data))
                results += [result for result in some if begin_ms <= result.sample.time_ms < end_ms]
        return sorted(results, key=_age)[:limit]

    def count(self, cut: Cut) -> int:
        with self._lock, self._transaction():
            total = sum(self._count_record(record) for record in cut.producers)
            for held in cut.outstanding:
                total -= self._count_range(held.producer, held.first, held.first + held.count - 1)
        return total

    def held(self) -> int:
        return self._sum("held")

    def let_go(self) -> int:
        return self._sum("let_go")

    def size(self) -> int:
        with self._lock:
            return self._used()

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("begin immediate")
        try:
            yield
        except BaseException:
            self._connection.execute("rollback")
            raise
        self._connection.execute("commit")

    def _insert(self, block: ResultBlock) -> int:
        samples = block.samples
        producer = self._producer(samples.producer)
        place = {"producer": producer, "low": samples.first, "high": samples.first + samples.count - 1}
        new, begin = 0, samples.first
        for first, last in [*self._connection.execute(_OVERLAPPING, place), (place["high"] + 1, place["high"] + 1)]:
            if first > begin:
                self._insert_new(producer, result_part(block, begin - samples.first, first - samples.first))
                new += first - begin
            begin = max(begin, last + 1)
        return new

    def _insert_new(self, producer: int, block: ResultBlock) -> None:
        samples = block.samples
        times = set(unpacked("q", samples.time_ms))
        data = b"".join((samples.time_ms, samples.value1, samples.value2, block.processed_ms, block.result1))
        last = samples.first + samples.count - 1
        self._connection.execute(
            "insert into block (producer, first, last, time_from, time_to, data) values (?, ?, ?, ?, ?, ?)",
            (producer, samples.first, last, min(times), max(times), data),
        )

    def _producer(self, name: str) -> int:
        if name not in self._ids:
            self._connection.execute("insert or ignore into producer (name) values (?)", (name,))
            (found,) = self._connection.execute("select id from producer where name = ?", (name,)).fetchone()
            if len(self._ids) > 10_000:
                self._ids.clear()
            self._ids[name] = found
        return self._ids[name]

    def _count_record(self, record: ProducerRecord) -> int:
        row = self._connection.execute(
            "select held + let_go from producer where name = ?", (record.producer,)
        ).fetchone()
        if row is None:
            return 0
        before = self._count_range(record.producer, 0, record.first - 1)
        after = self._count_range(record.producer, record.frontier, _LAST)
        return int(row[0]) - before - after

    def _count_range(self, name: str, low: int, high: int) -> int:
        if high < low:
            return 0
        row = self._connection.execute("select id from producer where name = ?", (name,)).fetchone()
        place = {"producer": row[0] if row else -1, "low": low, "high": high}
        found = self._connection.execute(_OVERLAPPING, place)
        return sum(min(last, high) - max(first, low) + 1 for first, last in found)

    def _sum(self, column: str) -> int:
        with self._lock:
            (total,) = self._connection.execute(f"select coalesce(sum({column}), 0) from producer").fetchone()
        return int(total)

    def _used(self) -> int:
        (pages,) = self._connection.execute("pragma page_count").fetchone()
        (free,) = self._connection.execute("pragma freelist_count").fetchone()
        (page_size,) = self._connection.execute("pragma page_size").fetchone()
        return int((pages - free) * page_size)

    def _make_room(self) -> None:
        """Let go of what was stored first, until the file's used pages are a tenth below what is kept."""
        surplus = self._used() - self._keep_bytes
        if surplus <= 0:
            return
        surplus += self._keep_bytes // 10
        with self._transaction():
            oldest = self._connection.execute("select id, producer, first, last, length(data) from block order by id")
            leaving = []
            for row, producer, first, last, size in oldest:
                leaving.append((row, producer, first, last))
                surplus -= size
                if surplus <= 0:
                    break
            for row, producer, first, last in leaving:
                self._let_go(row, producer, first, last)

    def _let_go(self, row: int, producer: int, first: int, last: int) -> None:
        execute = self._connection.execute
        execute("delete from block where id = ?", (row,))
        execute("update producer set let_go = let_go + ? where id = ?", (last - first + 1, producer))
        before = execute("select first from gone where producer = ? and last = ?", (producer, first - 1)).fetchone()
        if before is not None:
            execute("update gone set last = ? where producer = ? and first = ?", (last, producer, before[0]))
        else:
            execute("insert into gone values (?, ?, ?)", (producer, first, last))


def _read(name: str, first: int, last: int, data: bytes) -> ResultBlock:
    width = (last - first + 1) * WIDTH
    time_ms, value1, value2, processed_ms, result1 = (data[i * width : (i + 1) * width] for i in range(5))
    return ResultBlock(processed_ms, result1, SampleBlock(name, first, last - first + 1, time_ms, value1, value2))


def _age(result: Result) -> tuple[int, str, int]:
    return result.sample.time_ms, result.sample.producer, result.sample.sequence


def _oldest(results: list[Result], limit: int) -> int:
    """The time of the last of the oldest `limit` results."""
    return sorted(result.sample.time_ms for result in results)[limit - 1]
