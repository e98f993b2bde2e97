"""The datastore's database chosen by measurement: `python -m bench.stores [--duckdb PYTHON]`.

The same thousand samples a transaction into SQLite, a row each and a row for all; and into DuckDB, a row each, which
needs an interpreter that has `duckdb` and `numpy` (neither is a dependency of ours: `python3 -m venv`, `pip install`).
CPU seconds, which other programs do not disturb; memory is the process's largest.
"""

from __future__ import annotations

import argparse
import resource
import sqlite3
import subprocess
import tempfile
import time
from array import array
from collections.abc import Callable
from math import sin
from pathlib import Path

from bench.machine import describe, table
from inaetics.demonstrator.api import ResultBlock
from inaetics.demonstrator.blocks import waves
from inaetics.demonstrator.bundles.datastore.database import Database

BATCH = 1000
BATCHES = 500

_ROWS = """
create table result (producer integer, sequence integer, time_ms integer, value1 real, value2 real,
    processed_ms integer, result1 real, primary key (producer, sequence)) without rowid;
create index result_time on result (time_ms);
"""

_DUCKDB = f"""
import duckdb, numpy, resource, sys, time
connection = duckdb.connect(sys.argv[1], config={{"threads": 2}})
connection.execute("create table result (producer integer, sequence bigint, time_ms bigint, value1 double,"
    " value2 double, processed_ms bigint, result1 double, primary key (producer, sequence))")
values = numpy.sin(numpy.arange({BATCH}))
began = time.process_time()
for number in range({BATCHES // 5}):
    s = numpy.arange(number * {BATCH}, (number + 1) * {BATCH})
    batch = {{"s": s, "a": values}}
    connection.execute("insert or ignore into result select 1, s, s, a, a, s, a from batch")
print(time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def rows(directory: Path) -> float:
    """A row a sample."""
    connection = sqlite3.connect(directory / "rows.sqlite", isolation_level=None)
    connection.execute("pragma journal_mode=wal")
    connection.execute("pragma synchronous=normal")
    connection.executescript(_ROWS)
    values = array("d", map(sin, range(BATCH)))
    began = time.process_time()
    for number in range(BATCHES):
        numbers = range(number * BATCH, (number + 1) * BATCH)
        several = ((1, n, n, v, v, n, v) for n, v in zip(numbers, values, strict=True))
        connection.execute("begin immediate")
        connection.executemany("insert or ignore into result values (?, ?, ?, ?, ?, ?, ?)", several)
        connection.execute("commit")
    took = time.process_time() - began
    connection.close()
    return took


def blocks(directory: Path) -> float:
    """The datastore as it is."""
    database = Database(directory / "blocks.sqlite", keep_bytes=10**9)
    samples = [waves("p", number * BATCH, BATCH, start_ms=number * BATCH, step_ms=1) for number in range(BATCHES)]
    began = time.process_time()
    for block in samples:
        database.store([ResultBlock(block.time_ms, block.value1, block)])
    took = time.process_time() - began
    database.close()
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--duckdb", metavar="PYTHON", help="an interpreter with duckdb and numpy")
    given = parser.parse_args()
    print(describe(), end="\n\n")
    millions = BATCH * BATCHES / 1e6
    found: list[tuple[str, str, str]] = []
    ways: tuple[tuple[str, Callable[[Path], float]], ...] = (
        ("SQLite, a row for a thousand samples (chosen)", blocks),
        ("SQLite, a row a sample", rows),
    )
    with tempfile.TemporaryDirectory(prefix="inaetics-bench-") as directory:
        for name, way in ways:
            took = way(Path(directory))
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            found.append((name, f"{took / millions:.2f}", f"{memory:.0f}"))
        if given.duckdb:
            command = [given.duckdb, "-c", _DUCKDB, f"{directory}/rows.duckdb"]
            words = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
            found.append(("DuckDB, a row a sample", f"{float(words[0]) / millions * 5:.2f}", f"{float(words[1]):.0f}"))
    print(table(("database", "CPU s a million samples", "largest memory, MB"), found))


if __name__ == "__main__":
    main()
