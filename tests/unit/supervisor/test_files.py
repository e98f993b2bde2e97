"""Records and journals on disk: whole or not there, bounded, nothing lost."""

from __future__ import annotations

import asyncio
import errno
import os
from binascii import crc32
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inaetics.errors import InvalidInput, NotFound
from inaetics.supervisor import journal, linux, record_log
from inaetics.supervisor.bounds import Bounds
from inaetics.supervisor.journal import Journals
from inaetics.supervisor.procfs import Process
from inaetics.supervisor.records import Job, Record, Records
from inaetics.supervisor.values import Exit, How, Result, State, Sub

FULL = Record(
    state=State(
        sub=Sub.STOP_SIGTERM,
        result=Result.TIMEOUT,
        message="did not…",
        main=True,
        main_exit=Exit(how=How.KILLED, status=9),
        starts=(1.5, 2.5),
        restarts=3,
    ),
    system=True,
    unloading=True,
    job=Job.STOP,
    invocation="ab" * 16,
    main=Process(12, 34567),
    deadline=99.5,
    since=1700000000.25,
)


def _records(path: Path, *, again: bool = False) -> Records:
    records = Records(path)
    if again:
        records.go_on()
    else:
        records.begin_run()
    return records


def test_what_is_written_is_read_by_a_successor(tmp_path: Path) -> None:
    one = _records(tmp_path).of("a.service")
    assert one.read() is None
    assert one.read_text("loaded") is one.read_text("running") is None
    for record in (Record(state=State()), FULL, Record(state=State(sub=Sub.DEAD))):
        one.write(record)
        assert _records(tmp_path, again=True).of("a.service").read() == record
    assert _records(tmp_path, again=True).names() == ["a.service"]
    one.remove()
    assert _records(tmp_path, again=True).names() == []


def test_the_text_of_a_run_stays_when_another_is_loaded(tmp_path: Path) -> None:
    one = _records(tmp_path).of("a.service")
    one.load("first\nline ü")
    one.run()
    for it in (one, _records(tmp_path, again=True).of("a.service")):
        assert (it.read_text("loaded"), it.read_text("running")) == ("first\nline ü", "first\nline ü")
    one.load("second")
    for it in (one, _records(tmp_path, again=True).of("a.service")):
        assert (it.read_text("loaded"), it.read_text("running")) == ("second", "first\nline ü")
    one.run()
    assert _records(tmp_path, again=True).of("a.service").read_text("running") == "second"


def test_a_line_cut_short_anywhere_does_not_count_and_the_one_before_does(tmp_path: Path) -> None:
    one, file = _records(tmp_path).of("a.service"), tmp_path / "records"
    one.write(Record(state=State(restarts=1)))
    before = file.stat().st_size
    one.write(FULL)
    whole = file.read_bytes()
    for length in range(before, len(whole)):
        file.write_bytes(whole[:length])
        successor = _records(tmp_path, again=True)
        read = successor.of("a.service").read()
        assert read is not None
        assert read == (FULL if length == len(whole) - 1 else Record(state=State(restarts=1)))
        successor.of("b.service").write(FULL)
        third = _records(tmp_path, again=True)
        assert third.of("b.service").read() == FULL
        assert third.of("a.service").read() == read
        third.close()
        successor.close()


def test_a_full_disk_is_said_and_what_was_written_before_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records, write = _records(tmp_path), os.write
    one = records.of("a.service")
    one.write(Record(state=State(restarts=1)))
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:20]))
    with pytest.raises(OSError, match="No space left"):
        one.write(FULL)
    monkeypatch.undo()
    assert one.read() == Record(state=State(restarts=1))
    assert _records(tmp_path, again=True).of("a.service").read() == Record(state=State(restarts=1))
    one.write(FULL)
    assert _records(tmp_path, again=True).of("a.service").read() == FULL


def test_what_is_past_goes_and_what_counts_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_log, "REWRITE_ABOVE_BYTES", 4096)
    records, file = _records(tmp_path), tmp_path / "records"
    for number in range(200):
        for name in ("a.service", f"b@{number}.service"):
            records.of(name).load("text " * 20)
            records.of(name).write(Record(state=State(restarts=number)))
        records.of(f"b@{number}.service").remove()
        assert file.stat().st_size < 8192
        successor = _records(tmp_path, again=True)
        assert successor.names() == ["a.service"]
        read = successor.of("a.service").read()
        assert read is not None
        assert read.state.restarts == number
        successor.close()


def test_a_record_that_makes_no_sense_is_an_error(tmp_path: Path) -> None:
    one, file = _records(tmp_path).of("a.service"), tmp_path / "records"
    one.write(FULL)
    line = file.read_bytes().rstrip().partition(b" ")[2].replace(b"stop-sigterm", b"dancing-----")
    file.write_bytes(b"%08x %s\n" % (crc32(line), line))
    with pytest.raises(InvalidInput, match="cannot read the record"):
        _records(tmp_path, again=True).of("a.service").read()


def test_a_run_counts_once_it_was_committed_and_until_it_is_cleared(tmp_path: Path) -> None:
    records = Records(tmp_path)
    assert records.previous_run() is None
    run = records.begin_run()
    assert Records(tmp_path).previous_run() is None
    records.commit_run(run)
    assert Records(tmp_path).previous_run() == run
    records.clear()
    assert Records(tmp_path).previous_run() is None


def test_another_boot_of_the_machine_is_another_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = Records(tmp_path)
    records.commit_run(records.begin_run())
    monkeypatch.setattr("inaetics.supervisor.records.boot_id", lambda: "another")
    assert records.previous_run() is None


def _journal(tmp_path: Path, content: bytes) -> Journals:
    journals = Journals(tmp_path)
    journals.make("a.service")
    Path(journals.path("a.service")).write_bytes(content)
    return journals


_line = st.text(st.characters(exclude_characters="\n\0", exclude_categories=["Cs"]), max_size=30)


@settings(max_examples=60, deadline=None)
@given(st.lists(_line, max_size=30), st.integers(0, 40))
def test_the_tail_is_the_last_lines(tmp_path_factory: pytest.TempPathFactory, lines: list[str], wanted: int) -> None:
    content = "".join(line + "\n" for line in lines).encode()
    journals = _journal(tmp_path_factory.mktemp("j"), content + b"not yet ended")
    tail, offset = journals.tail("a.service", wanted)
    assert tail == lines[max(0, len(lines) - wanted) :]
    assert offset == len(content)
    assert journals.read("a.service", 0) == (lines, offset)


def test_a_tail_longer_than_one_chunk(tmp_path: Path) -> None:
    lines = [f"{number:08}" for number in range(50_000)]
    journals = _journal(tmp_path, "".join(line + "\n" for line in lines).encode())
    assert journals.tail("a.service", 30_000)[0] == lines[-30_000:]
    read, offset = journals.read("a.service", 9 * 49_990)
    assert (read, offset) == (lines[-10:], 9 * 50_000)


def test_a_line_without_end_longer_than_a_chunk_is_read_in_parts(tmp_path: Path) -> None:
    journals = _journal(tmp_path, b"x" * 200_000)
    seen, offset = 0, 0
    for _ in range(10):
        parts, offset = journals.read("a.service", offset)
        seen += sum(map(len, parts))
    assert seen >= 190_000


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "KEEP_BYTES", 64 * 1024)
    monkeypatch.setattr(journal, "CUT_ABOVE_BYTES", 128 * 1024)


def _no_holes(fd: int, offset: int, length: int) -> None:
    raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("holes", [True, False], ids=["a hole", "copied down"])
def test_a_cut_keeps_the_newest_whole_lines_and_later_ones_follow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, holes: bool
) -> None:
    if not holes:
        monkeypatch.setattr(linux, "punch_hole", _no_holes)
    lines = [f"{number:015}" for number in range(20_000)]
    journals = _journal(tmp_path, "".join(line + "\n" for line in lines).encode())
    fd = journals.open("a.service")
    try:
        journals.cut("a.service")
        os.write(fd, b"after\n")
        assert os.fstat(fd).st_blocks * 512 <= journal.CUT_ABOVE_BYTES
    finally:
        os.close(fd)
    tail, _offset = journals.tail("a.service", 10**6)
    kept = len(tail) - 1
    assert tail == [*lines[-kept:], "after"]
    assert 16 * kept > journal.KEEP_BYTES / 2


@pytest.mark.usefixtures("small")
def test_a_small_journal_is_left_alone(tmp_path: Path) -> None:
    journals = _journal(tmp_path, b"line\n" * 1000)
    journals.cut("a.service")
    assert len(journals.tail("a.service", 10**6)[0]) == 1000


def test_no_journal(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"a\.service"):
        Journals(tmp_path).tail("a.service", 10)


def test_of_forgotten_units_the_newest_journals_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "KEEP_FORGOTTEN", 2)
    journals = Journals(tmp_path)
    journals.prune({})
    for age, unit in enumerate(("newest", "known", "newer", "old", "oldest")):
        journals.make(unit)
        os.utime(journals.path(unit), (1000 - age, 1000 - age))
    journals.prune({"known"})
    assert sorted(os.listdir(tmp_path)) == ["known", "newer", "newest"]


def test_a_journal_that_was_just_written_to_can_be_let_go(tmp_path: Path) -> None:
    """Its watch has come by then, though nobody has heard of it yet."""

    async def main() -> None:
        journals = Journals(tmp_path)
        journals.make("a.service")
        bounds = Bounds(journals)
        bounds.keep("a.service")
        journals.say("a.service", "stopped")
        bounds.drop("a.service")
        bounds.close()

    asyncio.run(main())
