"""The independent judge: `python -m inaetics.demonstrator.check --logs DIR... --store FILE`.

Compares what producers wrote down themselves with the rows that are in the datastore, after a run: nothing that was
accepted is missing, nothing is there twice, nothing is there that was never offered. It shares no code with the
pipeline and its accounting: it reads the logs' and the database's files by their documented forms
(`producer.sequence_log`, `datastore.database`). The database may be open elsewhere; what has not gone through the
pipeline yet is then missing, so stop the producers first and let the queue run empty.

A batch that was offered and never answered (its producer was killed, or its queue) may be stored or not. Of a block
that was accepted in part the first samples are the accepted ones. Samples that the datastore let go of to make room
count as stored. Rows of producers without a log, or before its first entry (old logs make room), cannot be judged; they
are counted and must not be there twice. With `--complete` they are wrong: where all logs are expected, one that is not
there may have told of samples that are missing.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import struct
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

Range = tuple[int, int]
"""Sequences from the first to before the second."""

_HEAD = struct.Struct("<8sH")
_RECORD = struct.Struct("<QIi")
_SAMPLE_BYTES = 40
_MOST_NAMED = 5


@dataclass(slots=True)
class Log:
    """What one producer wrote down."""

    offered: list[Range] = field(default_factory=list)
    accepted: list[Range] = field(default_factory=list)
    open: list[Range] = field(default_factory=list)
    """Never answered."""


@dataclass(slots=True)
class Verdict:
    """What was found. `faults` are sentences; there is none when all is well."""

    faults: list[str] = field(default_factory=list)
    producers: int = 0
    accepted: int = 0
    open: int = 0
    stored: int = 0
    not_judged: int = 0


def read_logs(directories: Iterable[Path]) -> dict[str, Log]:
    """The logs below these directories by producer. Raises `ValueError` for a file that is none."""
    logs: dict[str, Log] = defaultdict(Log)
    for path in sorted(found for directory in directories for found in _logs_below(directory)):
        producer, records = _records(path)
        log = logs[producer]
        for first, count, accepted in records:
            log.offered.append((first, first + count))
            if accepted < 0:
                log.open.append((first, first + count))
            elif accepted:
                log.accepted.append((first, first + accepted))
    return dict(logs)


def _logs_below(directory: Path) -> Iterator[Path]:
    """Also in a cluster that runs: what comes and goes meanwhile is passed over (`Path.rglob` would raise)."""
    for top, _, files in os.walk(directory):
        yield from (Path(top, name) for name in files if name.endswith(".sequences"))


def _records(path: Path) -> tuple[str, Iterator[tuple[int, int, int]]]:
    content = path.read_bytes()
    if len(content) < _HEAD.size or not content.startswith(b"INAETSQ1"):
        raise ValueError(f"{path} is no sequence log: it does not begin with INAETSQ1")
    _, length = _HEAD.unpack_from(content)
    body = content[_HEAD.size + length :]
    whole = body[: len(body) - len(body) % _RECORD.size]  # the last one may be cut off by a crash
    return content[_HEAD.size : _HEAD.size + length].decode(), _RECORD.iter_unpack(whole)


def read_store(path: Path) -> tuple[dict[str, list[Range]], list[str]]:
    """The samples in a datastore's file by producer, a range for each row, and what is wrong with rows themselves."""
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    rows: dict[str, list[Range]] = defaultdict(list)
    faults = []
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        held = "select name, first, last, length(data) from block left join producer on producer.id = block.producer"
        for name, first, last, size in connection.execute(held):
            rows[name].append((first, last + 1))
            if size != (last + 1 - first) * _SAMPLE_BYTES:
                faults.append(f"the row of {name} {first}-{last} has {size} bytes: not those of its samples")
        gone = "select name, first, last from gone left join producer on producer.id = gone.producer"
        for name, first, last in connection.execute(gone):
            rows[name].append((first, last + 1))
    finally:
        connection.close()
    return dict(rows), faults


def judge(logs: dict[str, Log], rows: dict[str, list[Range]], *, complete: bool = False) -> Verdict:
    """Compare. Pure. `complete`: every row must be judged."""
    verdict = Verdict(producers=len(logs))
    for producer in sorted(logs.keys() | rows.keys()):
        stored, twice = union(rows.get(producer, []))
        _blame(verdict, producer, "stored twice", twice)
        verdict.stored += _size(stored)
        log = logs.get(producer)
        if log is None:
            verdict.not_judged += _size(stored)
            _blame(verdict, producer, "stored without a log", stored if complete else [])
            continue
        offered, offered_twice = union(log.offered)
        _blame(verdict, producer, "in its log twice", offered_twice)
        judged = without(stored, [(0, offered[0][0])] if offered else stored)
        early = without(stored, judged)
        verdict.not_judged += _size(early)
        _blame(verdict, producer, "stored before its log begins", early if complete else [])
        accepted, _ = union(log.accepted)
        may_be, _ = union([*log.accepted, *log.open])
        verdict.accepted += _size(accepted)
        verdict.open += _size(union(log.open)[0])
        _blame(verdict, producer, "accepted and not stored", without(accepted, stored))
        _blame(verdict, producer, "stored and never accepted", without(judged, may_be))
    return verdict


def union(ranges: Iterable[Range]) -> tuple[list[Range], list[Range]]:
    """Disjoint ranges that cover these, in order; and what more than one of these covers."""
    merged: list[Range] = []
    twice: list[Range] = []
    for first, end in sorted(ranges):
        if merged and first <= merged[-1][1]:
            if first < merged[-1][1]:
                twice.append((first, min(end, merged[-1][1])))
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((first, end))
    return merged, twice


def without(ranges: Sequence[Range], others: Sequence[Range]) -> list[Range]:
    """What is in `ranges` and not in `others`; both disjoint and in order."""
    left: list[Range] = []
    nearest = 0
    for first, end in ranges:
        while nearest < len(others) and others[nearest][1] <= first:
            nearest += 1
        at = nearest
        while first < end:
            if at == len(others) or others[at][0] >= end:
                left.append((first, end))
                break
            if others[at][0] > first:
                left.append((first, others[at][0]))
            first = others[at][1]
            at += 1
    return left


def _size(ranges: Iterable[Range]) -> int:
    return sum(end - first for first, end in ranges)


def _blame(verdict: Verdict, producer: str, what: str, ranges: Sequence[Range]) -> None:
    if ranges:
        named = ", ".join(f"{first}-{end - 1}" for first, end in ranges[:_MOST_NAMED])
        more = f" and {len(ranges) - _MOST_NAMED} more ranges" if len(ranges) > _MOST_NAMED else ""
        verdict.faults.append(f"{producer}: {_size(ranges)} samples {what}: {named}{more}")


def main(arguments: Sequence[str] | None = None) -> int:
    """0: nothing missing, nothing twice; 1: something; 2: it could not be judged."""
    parser = argparse.ArgumentParser(
        prog="python -m inaetics.demonstrator.check", description="Compare producers' logs with the datastore's rows."
    )
    parser.add_argument("--logs", type=Path, nargs="+", required=True, help="directories; what is below counts too")
    parser.add_argument("--store", type=Path, required=True, help="the datastore's file, samples.sqlite")
    parser.add_argument("--complete", action="store_true", help="rows without a log are wrong, not only counted")
    given = parser.parse_args(arguments)
    try:
        logs = read_logs(given.logs)
        rows, faults = read_store(given.store)
    except (OSError, ValueError, sqlite3.Error) as error:
        sys.stderr.write(f"cannot judge: {error}\n")
        return 2
    if not logs:
        sys.stderr.write(f"cannot judge: no sequence log below {', '.join(map(str, given.logs))}\n")
        return 2
    verdict = judge(logs, rows, complete=given.complete)
    for fault in (*faults, *verdict.faults):
        sys.stdout.write(f"{fault}\n")
    sys.stdout.write(
        f"{verdict.producers} producers, {verdict.accepted} samples accepted, {verdict.open} never answered,"
        f" {verdict.stored} stored, {verdict.not_judged} of them without a log:"
        f" {'wrong' if faults or verdict.faults else 'nothing missing, nothing twice'}\n"
    )
    return 1 if faults or verdict.faults else 0


if __name__ == "__main__":
    sys.exit(main())
