"""A registry's ledger: what every reference means since when, in memory, on disk and true to the registry's files.

Promises: what is recorded is on disk before `record` returns; a reader that waits for the next change misses none;
`reconcile` makes the ledger agree with what is really there, whatever happened to disk or ledger meanwhile: what is
gone is forgotten (and is then news from everybody else), what nobody wrote down is as old as its file.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inaetics.containers.daemon_log import log
from inaetics.containers.replicate_files import RegistryFiles
from inaetics.containers.replicate_plan import Entry, Key, Ledger, Stamp, is_entry, next_stamp
from inaetics.files import replace_file

REMEMBER_MS = 30 * 24 * 3600 * 1000
"""A removal is remembered this long; a registry that was away for longer may bring back what was removed."""


class LedgerFile:
    """The ledger of the registry on `host` whose files are `files`; it is kept in `file`. Any thread may use it."""

    def __init__(self, file: Path, files: RegistryFiles, host: str) -> None:
        self._file, self._files, self._host = file, files, host
        self._changed = threading.Condition()
        self._life = secrets.token_hex(4)
        self._revision = 0
        self._entries = _read(file)

    @property
    def token(self) -> str:
        """A word for the ledger as it is now: another one as soon as it has changed."""
        with self._changed:
            return self._token()

    def entries(self) -> dict[Key, Entry]:
        """A copy of the ledger."""
        with self._changed:
            return dict(self._entries)

    def wait(self, token: str, within_s: float) -> str:
        """Return the current token, as soon as it is another one than `token` or when time is up."""
        with self._changed:
            self._changed.wait_for(lambda: self._token() != token, timeout=within_s)
            return self._token()

    def record(self, *said: tuple[Key, str]) -> None:
        """Write down that each key now means the digest beside it ("": it was removed), here and now."""
        with self._changed:
            now = _now_ms()
            self._take({key: self._entry(key, digest, now) for key, digest in said})

    def adopt(self, key: Key, entry: Entry) -> None:
        """Write down what another registry said, with its stamp."""
        with self._changed:
            self._take({key: entry})

    def renew(self, key: Key, after: Stamp) -> None:
        """Say anew that a manifest is here, later than `after`."""
        with self._changed:
            removed = Entry(digest="", stamp=after)
            stamp = next_stamp(_now_ms(), self._host, [self._entries.get(key), removed])
            self._take({key: Entry(digest=key[1], stamp=stamp)})

    def reconcile(self) -> int:
        """Make the ledger agree with the registry's files; returns how many of its entries were wrong.

        A push between the look at the files and the change of the ledger is not lost: it counts as the later one.
        """
        before = self.entries()
        there = self._look()
        with self._changed:
            untouched = {key for key, entry in before.items() if self._entries.get(key) is entry}
            gone = {key for key in untouched if before[key].digest and there.get(key, ("", 0))[0] != before[key].digest}
            news = {key for key in there if key not in self._entries or key in gone or self._revived(key, untouched)}
            old = {key for key in untouched - news if _is_over(before[key])}
            if not (gone or news or old):
                return 0
            for key in gone | old:
                del self._entries[key]
            self._take({key: Entry(digest=there[key][0], stamp=Stamp(there[key][1], self._host)) for key in news})
            return len(gone) + len(news - gone)

    def _revived(self, key: Key, untouched: set[Key]) -> bool:
        """Whether what was removed is there again, and nobody wrote it down."""
        return key in untouched and not self._entries[key].digest

    def _look(self) -> dict[Key, tuple[str, int]]:
        """What is really there: key → digest, and when it was written. A manifest that lacks a part is not there."""
        found: dict[Key, tuple[str, int]] = {}
        for repository in self._files.repositories():
            whole = [each for each in self._files.manifests(repository) if self._files.is_whole(repository, each)]
            meant = {digest: digest for digest in whole}
            tags = {tag: digest for tag, digest in self._files.tags(repository).items() if digest in meant}
            for reference, digest in (meant | tags).items():
                try:
                    found[repository, reference] = (digest, self._files.written_ms(repository, reference))
                except FileNotFoundError:
                    continue  # removed between two looks
        return found

    def _entry(self, key: Key, digest: str, now_ms: int) -> Entry:
        return Entry(digest=digest, stamp=next_stamp(now_ms, self._host, [self._entries.get(key)]))

    def _take(self, entries: Mapping[Key, Entry]) -> None:
        self._entries.update(entries)
        _write(self._file, self._entries)
        self._revision += 1
        self._changed.notify_all()

    def _token(self) -> str:
        return f"{self._life}-{self._revision}"


def to_wire(ledger: Ledger) -> list[list[Any]]:
    """The ledger as JSON: repository, reference, digest, time, host of each entry."""
    return [[*key, entry.digest, entry.stamp.time_ms, entry.stamp.host] for key, entry in sorted(ledger.items())]


def from_wire(rows: Any) -> dict[Key, Entry]:
    """Read what `to_wire` made; raises `ValueError` for what is none."""
    found: dict[Key, Entry] = {}
    for row in rows if isinstance(rows, list) else [None]:
        match row:
            case [str(repository), str(reference), str(digest), int(time_ms), str(host), *_] if is_entry(
                repository, reference, digest
            ):
                found[repository, reference] = Entry(digest=digest, stamp=Stamp(time_ms, host))
            case _:
                raise ValueError(f"not a row of a ledger: {row!r}")
    return found


def _is_over(entry: Entry) -> bool:
    return not entry.digest and entry.stamp.time_ms < _now_ms() - REMEMBER_MS


def _read(file: Path) -> dict[Key, Entry]:
    try:
        return from_wire(json.loads(file.read_bytes())["entries"])
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        log("ledger not usable, begun anew", level="warning", file=str(file), reason=str(error))
        return {}


def _write(file: Path, entries: Ledger) -> None:
    replace_file(file, json.dumps({"version": 1, "entries": to_wire(entries)}))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
