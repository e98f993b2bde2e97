"""The datastore: a sample's result is kept once, found by time, and the oldest go first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from inaetics.demonstrator.api import Result, Sample
from inaetics.demonstrator.bundles.datastore.database import Database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "results.sqlite", keep=100)
    yield database
    database.close()


def _result(sequence: int, *, producer: str = "p") -> Result:
    return Result(1, 3.0, Sample(sequence * 10, 1.0, 2.0, producer, sequence))


def test_a_result_stored_twice_is_kept_once(database: Database) -> None:
    assert database.store([_result(1), _result(2)]) == 2
    assert database.store([_result(2), _result(3), _result(2, producer="q")]) == 2
    assert database.rows == 4


def test_find_between_is_half_open_and_in_time_order(database: Database) -> None:
    database.store([_result(3), _result(1), _result(2)])
    assert database.find_between(10, 30, limit=10) == [_result(1), _result(2)]
    assert database.find_between(0, 1000, limit=1) == [_result(1)]


def test_the_oldest_rows_make_room(database: Database) -> None:
    database.store([_result(i) for i in range(150)])
    assert database.rows == 100
    assert database.find_between(0, 500, limit=1000) == []


def test_rows_survive_the_process(tmp_path: Path) -> None:
    first = Database(tmp_path / "results.sqlite", keep=100)
    first.store([_result(1)])
    first.close()
    again = Database(tmp_path / "results.sqlite", keep=100)
    assert again.store([_result(1)]) == 0
    assert again.rows == 1
    again.close()
