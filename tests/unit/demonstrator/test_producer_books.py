"""A producer's log on disk and its counts in memory."""

from __future__ import annotations

from pathlib import Path

from inaetics.demonstrator.api import Ledger
from inaetics.demonstrator.bundles.producer.lives import Lives
from inaetics.demonstrator.bundles.producer.sequence_log import HEAD, MAGIC, RECORD, SequenceLog


def _records(path: Path) -> list[tuple[int, int, int]]:
    text = path.read_bytes()
    magic, length = HEAD.unpack_from(text)
    assert magic == MAGIC
    assert text[HEAD.size : HEAD.size + length] == b"celix@1/0a"
    return list(RECORD.iter_unpack(text[HEAD.size + length :]))


def test_a_batch_is_in_the_log_before_it_is_answered(tmp_path: Path) -> None:
    log = SequenceLog(tmp_path, "celix@1/0a")
    log.offer(0, 50)
    log.answer(0, 50, 40)
    log.offer(50, 50)
    (path,) = tmp_path.iterdir()
    assert _records(path) == [(0, 50, 40), (50, 50, -1)]
    log.close()


def test_logs_are_bounded_and_the_oldest_part_goes(tmp_path: Path) -> None:
    log = SequenceLog(tmp_path, "celix@1/0a", part_bytes=100, keep_bytes=400)
    for number in range(100):
        log.offer(number, 1)
        log.answer(number, 1, 1)
    log.close()
    files = sorted(tmp_path.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert sum(path.stat().st_size for path in files) <= 400
    kept = [first for path in files for first, _, _ in _records(path)]
    assert kept == list(range(100 - len(kept), 100))


def test_counts_are_known_at_each_answered_call() -> None:
    lives = Lives()
    lives.begin("a")
    lives.offered(10)
    assert lives.at("a", 10) is None
    lives.answered(10, 3)
    lives.offered(10)
    assert lives.at("a", 10) == Ledger("a", 10, 3, 0)
    assert lives.at("b", 10) is None
    assert lives.at("a", -1) == Ledger("a", 20, 3, 10)


def test_an_ended_life_keeps_its_last_count() -> None:
    lives = Lives()
    lives.begin("a")
    lives.offered(10)
    lives.begin("b")
    assert lives.next == 0
    assert lives.at("a", -1) == Ledger("a", 10, 0, 10)
    assert (lives.produced, lives.refused, lives.undecided) == (10, 0, 10)
