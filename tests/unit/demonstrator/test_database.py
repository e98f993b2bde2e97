"""The datastore: a sample's result is kept once, found by time, counted as it is, and the oldest go first."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inaetics.demonstrator.api import Cut, Outstanding, ProducerRecord, Result, ResultBlock, Sample
from inaetics.demonstrator.blocks import of_results, waves
from inaetics.demonstrator.bundles.datastore.database import Database

KEEP = 1024 * 1024


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "samples.sqlite", keep_bytes=KEEP)
    yield database
    database.close()


def _result(sequence: int, *, producer: str = "p") -> Result:
    return Result(1, 3.0, Sample(sequence * 10, 1.0, 2.0, producer, sequence))


def _block(first: int, count: int, *, producer: str = "p") -> ResultBlock:
    samples = waves(producer, first, count, start_ms=first, step_ms=1)
    return ResultBlock(samples.time_ms, samples.value1, samples)


def _store(database: Database, *results: Result) -> int:
    return database.store(of_results(results))


def _cut(*outstanding: Outstanding, first: int = 0, frontier: int = 0) -> Cut:
    return Cut("q", 0, 0, 0, [ProducerRecord("p", first, frontier, 0, 0, 0)], list(outstanding))


def test_a_result_stored_twice_is_kept_once(database: Database) -> None:
    assert _store(database, _result(1), _result(2)) == 2
    assert _store(database, _result(2), _result(3), _result(2, producer="q")) == 2
    assert database.held() == 4


def test_of_a_block_only_what_is_new_is_kept(database: Database) -> None:
    assert database.store([_block(10, 5), _block(20, 5)]) == 10
    assert database.store([_block(8, 20)]) == 10
    assert database.store([_block(0, 40)]) == 20
    found = database.find_between(0, 100, limit=100)
    assert [result.sample.sequence for result in found] == list(range(40))


@settings(deadline=None)
@given(st.lists(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9), st.sampled_from("pq")), max_size=3)))
def test_any_blocks_in_any_order_keep_each_sample_once(stores: list[list[tuple[int, int, str]]]) -> None:
    database = Database(Path(":memory:"), keep_bytes=KEEP)
    known: set[tuple[str, int]] = set()
    for blocks in stores:
        samples = {(producer, n) for first, count, producer in blocks for n in range(first, first + count)}
        assert database.store([_block(f, c, producer=p) for f, c, p in blocks]) == len(samples - known)
        known |= samples
    found = [(r.sample.producer, r.sample.sequence) for r in database.find_between(0, 100, limit=1000)]
    assert sorted(found) == sorted(known)
    assert database.held() == len(known)
    assert database.count(_cut(first=5, frontier=20)) == sum(p == "p" and 5 <= n < 20 for p, n in known)
    held = _cut(Outstanding("p", 7, 4, True), frontier=20)
    assert database.count(held) == sum(p == "p" and n < 20 and not 7 <= n < 11 for p, n in known)
    database.close()


def test_find_between_is_half_open_and_in_time_order(database: Database) -> None:
    _store(database, _result(3), _result(1), _result(2))
    assert database.find_between(10, 30, limit=10) == [_result(1), _result(2)]
    assert database.find_between(0, 1000, limit=1) == [_result(1)]


def test_the_oldest_of_blocks_that_lie_across_each_other_are_found_first(database: Database) -> None:
    for sequence, time_ms in [(0, 50), (1, 90), (3, 10), (4, 100), (6, 95)]:
        _store(database, Result(0, 0.0, Sample(time_ms, 0.0, 0.0, "p", sequence)))
    _store(database, *(Result(0, 0.0, Sample(time_ms, 0.0, 0.0, "q", n)) for n, time_ms in enumerate([5, 97, 60])))
    times = [result.sample.time_ms for result in database.find_between(0, 1000, limit=4)]
    assert times == [5, 10, 50, 60]
    assert [r.sample.time_ms for r in database.find_between(60, 97, limit=9)] == [60, 90, 95]


def test_what_was_stored_first_makes_room_and_is_counted_and_never_new_again(database: Database) -> None:
    for first in range(0, 100_000, 500):
        database.store([_block(first, 500)])
    assert database.size() < KEEP * 1.6
    assert 0 < database.held() < 50_000
    assert database.held() + database.let_go() == 100_000
    assert database.count(_cut(frontier=100_000)) == 100_000
    assert database.find_between(0, 500, limit=10) == []
    assert database.store([_block(0, 1000)]) == 0


def test_rows_survive_the_process(tmp_path: Path) -> None:
    first = Database(tmp_path / "samples.sqlite", keep_bytes=KEEP)
    _store(first, _result(1))
    first.close()
    again = Database(tmp_path / "samples.sqlite", keep_bytes=KEEP)
    assert _store(again, _result(1)) == 0
    assert again.held() == 1
    again.close()


def test_two_versions_at_one_file_keep_each_sample_once(database: Database, tmp_path: Path) -> None:
    other = Database(tmp_path / "samples.sqlite", keep_bytes=KEEP)
    assert database.store([_block(0, 10)]) == 10
    assert other.store([_block(5, 10)]) == 5
    assert database.store([_block(0, 20)]) == 5
    other.close()


def test_a_row_that_vanishes_or_doubles_is_seen_in_the_count(database: Database, tmp_path: Path) -> None:
    database.store([_block(0, 10), _block(20, 10)])
    vandal = sqlite3.connect(tmp_path / "samples.sqlite")
    vandal.execute("delete from block where first = 20")
    vandal.commit()
    assert database.count(_cut(frontier=30)) == 10
    vandal.execute("insert into block select null, producer, first + 3, last, time_from, time_to, data from block")
    vandal.commit()
    vandal.close()
    assert database.count(_cut(frontier=30)) == 17


def test_a_failed_store_keeps_nothing(database: Database) -> None:
    with pytest.raises(AttributeError):
        database.store([_block(0, 10), None])  # type: ignore[list-item]
    assert database.held() == 0


def test_finding_by_time_goes_by_an_index_and_looks_at_no_other_row(database: Database) -> None:
    for number in range(50):
        database.store([_block(number * 10, 10)])
    asked: list[str] = []
    connection = database._connection
    connection.set_trace_callback(asked.append)
    assert len(database.find_between(100, 120, limit=10)) == 10
    connection.set_trace_callback(None)
    plans = [row[3] for query in asked for row in connection.execute(f"explain query plan {query}")]
    on_rows = [plan for plan in plans if " block" in plan]
    assert on_rows == ["SEARCH block USING INDEX block_times (time_from>? AND time_from<?)"]
    assert not any("TEMP B-TREE" in plan for plan in plans)


def test_the_longest_row_is_remembered_across_lives_and_by_files_made_before(tmp_path: Path) -> None:
    path = tmp_path / "samples.sqlite"

    def longest() -> list[tuple[int]]:
        with sqlite3.connect(path) as connection:
            return connection.execute("select span from longest").fetchall()

    for count in (5, 9, 3):
        database = Database(path, keep_bytes=KEEP)
        database.store([_block(count * 100, count)])
        database.close()
    assert longest() == [(8,)]
    with sqlite3.connect(path) as connection:  # as it was before there was such a table
        connection.executescript("drop table longest; drop trigger block_longest")
    database = Database(path, keep_bytes=KEEP)
    assert [result.sample.sequence for result in database.find_between(908, 950, limit=9)] == [908]
    database.close()
    assert longest() == [(8,)]
