"""Writes down what happens at targets, in etcd, and knows the last of it: several servers write one log.

Entries are written by a job of etcd's thread, many in one transaction; each target keeps the last `KEPT_ENTRIES`.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections import Counter, deque
from collections.abc import Callable

import msgspec
import structlog

from inaetics.bundles.records import (
    KEPT_ENTRIES,
    LOG,
    LOG_ROOT,
    STANDINGS,
    Entry,
    Standing,
    log_prefix,
    standing_key,
)
from inaetics.errors import Unavailable
from inaetics.provisioning.etcd_thread import RETRY_S, EtcdThread, Wake
from inaetics.store.protocol import MAX_OPS, Changed, Delete, KeyValue, Op, Put, Relisted, Store, Synced, chunks

log = structlog.get_logger()

MAX_WAITING = 5_000
"""Entries kept while etcd is away; the oldest go first."""
SHOWN = 200
"""The youngest entries of all targets, for the page."""
TRIM_EVERY = 20
BATCH = MAX_OPS // 2
"""Entries of one transaction: each may bring the standing of another target."""


class Audit:
    """`server` names this server in what it writes; `changed` is called on etcd's thread after each news."""

    def __init__(self, etcd: EtcdThread, server: str, *, changed: Callable[[], None] = lambda: None) -> None:
        self._server = server
        self._changed = changed
        self._wake = Wake(etcd)
        self._lock = threading.Lock()
        self._waiting: deque[tuple[str, Entry]] = deque(maxlen=MAX_WAITING)
        """Keys, which are made once: what is written twice because an answer was lost is one entry."""
        self._numbers = itertools.count()
        self._written: dict[str, int] = {}
        self._recent: dict[str, tuple[str, Entry]] = {}
        self._standings: dict[str, Standing] = {}
        etcd.add("audit log", self._write)
        etcd.add("reading the audit log", self._follow)

    def add(self, target: str, entry: Entry) -> None:
        """Write this down soon. Safe from any thread."""
        key = f"{log_prefix(target)}{int(entry.at * 1000):015d}-{self._server}-{next(self._numbers):06d}"
        with self._lock:
            self._waiting.append((key, msgspec.structs.replace(entry, server=self._server)))
        self._wake.set()

    @property
    def recent(self) -> tuple[tuple[str, Entry], ...]:
        """The youngest entries with their targets, the youngest first."""
        with self._lock:
            return tuple(self._recent[key] for key in sorted(self._recent, key=_time_of, reverse=True))

    @property
    def last(self) -> dict[str, Entry]:
        """What happened last at each target."""
        with self._lock:
            return {target: standing.last for target, standing in self._standings.items()}

    async def _write(self, store: Store) -> None:
        while True:
            await self._wake.wait()
            while batch := self._batch():
                await self._persist(store, batch)

    def _batch(self) -> list[tuple[str, Entry]]:
        with self._lock:
            return [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]

    async def _persist(self, store: Store, batch: list[tuple[str, Entry]]) -> None:
        puts = [Put(key=key, value=msgspec.json.encode(entry)) for key, entry in batch]
        standings = self._standings_after(batch)
        puts += [Put(key=standing_key(target), value=msgspec.json.encode(each)) for target, each in standings.items()]
        try:
            await store.commit(puts)
            for target, count in Counter(_target_of(key) for key, _ in batch).items():
                await self._trim(store, target, count)
        except Unavailable as error:
            log.warning("audit log waits for the store", error=str(error), entries=len(batch))
            with self._lock:
                self._waiting.extendleft(reversed(batch))
            await asyncio.sleep(RETRY_S)
            self._wake.set()

    def _standings_after(self, batch: list[tuple[str, Entry]]) -> dict[str, Standing]:
        """How the targets of these entries are then; other servers learn it from etcd, as we do of theirs."""
        with self._lock:
            found: dict[str, Standing] = {}
            for key, entry in batch:
                target = _target_of(key)
                found[target] = Standing.after(found.get(target) or self._standings.get(target), entry)
            self._standings |= found
            return found

    async def _trim(self, store: Store, target: str, count: int) -> None:
        """Forget old entries now and then: at a target's first entry, and after every so many."""
        before = self._written.get(target, -1)
        self._written[target] = before + count
        if before >= 0 and before // TRIM_EVERY == (before + count) // TRIM_EVERY:
            return
        listing = await store.list(log_prefix(target))
        old: list[Op] = [Delete(key=item.key) for item in listing.items[:-KEPT_ENTRIES]]
        for part in chunks(old):
            await store.commit(part)

    async def _follow(self, store: Store) -> None:
        async for event in store.watch(LOG_ROOT):
            match event:
                case Relisted(listing=listing):
                    for item in listing.items:
                        self._learn(item)
                    self._forget({item.key for item in listing.items})
                    self._changed()
                case Changed(current=KeyValue() as current):
                    self._learn(current)
                case Changed(key=key):
                    with self._lock:
                        self._recent.pop(key, None)
                case Synced():
                    self._changed()

    def _learn(self, item: KeyValue) -> None:
        try:
            if item.key.startswith(STANDINGS):
                standing = msgspec.json.decode(item.value, type=Standing)
                with self._lock:
                    self._standings[item.key.removeprefix(STANDINGS)] = standing
            else:
                self._show(item.key, msgspec.json.decode(item.value, type=Entry))
        except msgspec.DecodeError as error:
            log.warning("record of the audit log not understood", key=item.key, error=str(error))

    def _show(self, key: str, entry: Entry) -> None:
        with self._lock:
            self._recent[key] = (_target_of(key), entry)
            if len(self._recent) > 2 * SHOWN:
                for old in sorted(self._recent, key=_time_of)[:-SHOWN]:
                    del self._recent[old]

    def _forget(self, there: set[str]) -> None:
        with self._lock:
            self._recent = {key: value for key, value in self._recent.items() if key in there}


def _time_of(key: str) -> str:
    return key.rpartition("/")[2]


def _target_of(key: str) -> str:
    return key.removeprefix(LOG).partition("/")[0]
