"""The judge: it acquits what is right and finds one sample that is missing, twice or from nowhere."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inaetics.demonstrator.api import ResultBlock
from inaetics.demonstrator.blocks import waves
from inaetics.demonstrator.bundles.datastore.database import Database
from inaetics.demonstrator.bundles.producer.sequence_log import SequenceLog
from inaetics.demonstrator.check import main, union, without

P = "celix@1/0a"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """100 batches of 10: in every fifth only 7 accepted, the last never answered; all that was accepted is stored."""
    log = SequenceLog(tmp_path / "worker-1" / "sequences", P)
    database = Database(tmp_path / "samples.sqlite", keep_bytes=10**9)
    for batch in range(100):
        accepted = 7 if batch % 5 == 0 else 10
        log.offer(batch * 10, 10)
        log.answer(batch * 10, 10, accepted)
        store(database, batch * 10, accepted)
    log.offer(1000, 10)
    store(database, 1000, 4)
    log.close()
    database.close()
    return tmp_path


def store(database: Database, first: int, count: int, producer: str = P) -> None:
    samples = waves(producer, first, count, start_ms=0, step_ms=1)
    database.store([ResultBlock(samples.time_ms, samples.value1, samples)])


def judged(run: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str]:
    status = main(["--logs", str(run), "--store", str(run / "samples.sqlite"), *more])
    return status, capsys.readouterr().out


def change(run: Path, statement: str) -> None:
    connection = sqlite3.connect(run / "samples.sqlite")
    assert connection.execute(statement).rowcount == 1
    connection.commit()
    connection.close()


def test_a_run_without_a_fault_is_acquitted(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, said = judged(run, capsys)
    assert status == 0, said
    assert "940 samples accepted, 10 never answered, 944 stored, 0 of them without a log: nothing missing" in said


def test_one_lost_sample_is_found(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(run, "update block set last = 518, data = substr(data, 1, 360) where last = 519")
    status, said = judged(run, capsys)
    assert status == 1
    assert f"{P}: 1 samples accepted and not stored: 519-519" in said


def test_one_sample_twice_is_found(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(run, "insert into block select null, producer, last, last, 0, 0, zeroblob(40) from block where last = 519")
    status, said = judged(run, capsys)
    assert status == 1
    assert f"{P}: 1 samples stored twice: 519-519" in said


def test_a_sample_that_was_refused_or_never_offered_is_found(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database = Database(run / "samples.sqlite", keep_bytes=10**9)
    store(database, 7, 1)
    store(database, 2000, 2)
    database.close()
    status, said = judged(run, capsys)
    assert status == 1
    assert f"{P}: 3 samples stored and never accepted: 7-7, 2000-2001" in said


def test_a_row_without_its_samples_is_found(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(run, "update block set data = substr(data, 1, 399) where last = 519")
    status, said = judged(run, capsys)
    assert status == 1
    assert f"the row of {P} 510-519 has 399 bytes" in said


def test_what_was_let_go_of_is_not_missing(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database = Database(run / "samples.sqlite", keep_bytes=10_000)
    for _ in range(64):
        store(database, 0, 7)
    assert database.let_go() > 0
    database.close()
    assert judged(run, capsys)[0] == 0


def test_rows_without_a_log_are_not_judged_but_counted(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database = Database(run / "samples.sqlite", keep_bytes=10**9)
    store(database, 0, 3, "old")
    database.close()
    status, said = judged(run, capsys)
    assert (status, "3 of them without a log" in said) == (0, True)
    status, said = judged(run, capsys, "--complete")
    assert (status, "old: 3 samples stored without a log: 0-2" in said) == (1, True)


def test_where_all_logs_are_expected_one_that_begins_late_is_wrong(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (path,) = run.rglob("*.sequences")
    content = path.read_bytes()
    head = 10 + len(P)
    path.write_bytes(content[:head] + content[head + 3 * 16 :])
    assert judged(run, capsys)[0] == 0
    status, said = judged(run, capsys, "--complete")
    assert (status, f"{P}: 27 samples stored before its log begins: 0-6, 10-29" in said) == (1, True)
    path.unlink()
    assert judged(run, capsys, "--complete")[0] == 2


def test_nothing_to_judge_is_no_acquittal(tmp_path: Path, run: Path) -> None:
    assert main(["--logs", str(run), "--store", str(run / "nothing.sqlite")]) == 2
    (tmp_path / "empty").mkdir()
    assert main(["--logs", str(tmp_path / "empty"), "--store", str(run / "samples.sqlite")]) == 2


_ranges = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 6)).map(lambda pair: (pair[0], sum(pair))))


def _members(ranges: list[tuple[int, int]]) -> list[int]:
    return [number for first, end in ranges for number in range(first, end)]


@given(_ranges, _ranges)
def test_ranges_are_sets(some: list[tuple[int, int]], others: list[tuple[int, int]]) -> None:
    (merged, twice), (there, _) = union(some), union(others)
    assert _members(merged) == sorted(set(_members(some)))
    assert set(_members(twice)) == {number for number in _members(some) if _members(some).count(number) > 1}
    assert set(_members(without(merged, there))) == set(_members(some)) - set(_members(others))
