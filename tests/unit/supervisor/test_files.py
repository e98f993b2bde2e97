"""Records and journals on disk: whole or not there, bounded, nothing lost."""

from __future__ import annotations

import errno
import os
from binascii import crc32
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inaetics.errors import InvalidInput, NotFound
from inaetics.supervisor import journal, linux
from inaetics.supervisor.journal import Journals
from inaetics.supervisor.procfs import Process
from inaetics.supervisor.records import Job, Record, Records, UnitFiles
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


def _files(path: Path) -> UnitFiles:
    files = UnitFiles(str(path / "a.service"))
    files.make()
    return files


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    files = _files(tmp_path)
    assert files.read() is None
    for record in (Record(state=State()), FULL, Record(state=State(sub=Sub.DEAD))):
        files.write(record)
        assert _files(tmp_path).read() == record


@pytest.mark.parametrize("length", [0, 1, 9, 30, 200])
def test_a_record_cut_short_does_not_count_and_the_one_before_does(tmp_path: Path, length: int) -> None:
    files = _files(tmp_path)
    files.write(Record(state=State(restarts=1)))
    files.write(FULL)
    newest = max((tmp_path / "a.service").glob("record.*"), key=lambda file: b"stop-sigterm" in file.read_bytes())
    newest.write_bytes(newest.read_bytes()[:length])
    read = _files(tmp_path).read()
    assert read is not None
    assert read.state.restarts == 1


def test_a_successor_goes_on_where_the_records_are(tmp_path: Path) -> None:
    files = _files(tmp_path)
    for number in range(5):
        files.write(Record(state=State(restarts=number)))
        files = _files(tmp_path)
        read = files.read()
        assert read is not None
        assert read.state.restarts == number


def test_a_record_that_makes_no_sense_is_an_error(tmp_path: Path) -> None:
    files = _files(tmp_path)
    files.write(FULL)
    file = next((tmp_path / "a.service").glob("record.*"))
    line = file.read_bytes().rstrip().partition(b" ")[2].replace(b"stop-sigterm", b"dancing-----")
    file.write_bytes(b"%08x %s\n" % (crc32(line), line))
    with pytest.raises(InvalidInput, match="cannot read the record"):
        _files(tmp_path).read()


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
