"""A store that is measured: how long each operation took, and how it failed. Everything else is the store's own."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

from inaetics.errors import InaeticsError
from inaetics.store.protocol import Guard, KeyValue, Leadership, Lease, Listing, Op, Remaining, Store, WatchEvent

T = TypeVar("T")

Observe = Callable[[str, float, str | None], object]
"""Told of each operation: its name, its seconds, and the error's class where it failed."""


class MeteredStore:
    """`store`, with every call of one answer told to `observe`. Implements `Store`."""

    def __init__(self, store: Store, observe: Observe) -> None:
        self._store = store
        self._observe = observe

    async def get(self, key: str) -> KeyValue | None:
        """See `Store`."""
        return await self._timed("get", self._store.get(key))

    async def list(self, prefix: str) -> Listing:
        """See `Store`."""
        return await self._timed("list", self._store.list(prefix))

    async def put(self, key: str, value: bytes, *, lease: int = 0) -> int:
        """See `Store`."""
        return await self._timed("put", self._store.put(key, value, lease=lease))

    async def delete(self, key: str, *, prefix: bool = False) -> int:
        """See `Store`."""
        return await self._timed("delete", self._store.delete(key, prefix=prefix))

    async def commit(self, ops: Sequence[Op], *, guards: Sequence[Guard] = ()) -> int:
        """See `Store`."""
        return await self._timed("commit", self._store.commit(ops, guards=guards))

    async def leader(self, name: str) -> str | None:
        """See `Store`."""
        return await self._timed("leader", self._store.leader(name))

    def watch(self, prefix: str, *, after: int = 0) -> AsyncIterator[WatchEvent]:
        """See `Store`."""
        return self._store.watch(prefix, after=after)

    def lease(self, ttl_s: float, *, revoke: bool = True) -> AbstractAsyncContextManager[Lease]:
        """See `Store`."""
        return self._store.lease(ttl_s, revoke=revoke)

    async def remaining(self, lease: int) -> Remaining | None:
        """See `Store`."""
        return await self._timed("remaining", self._store.remaining(lease))

    def lead(self, name: str, candidate: str, *, ttl_s: float) -> AbstractAsyncContextManager[Leadership]:
        """See `Store`."""
        return self._store.lead(name, candidate, ttl_s=ttl_s)

    async def aclose(self) -> None:
        """See `Store`."""
        await self._store.aclose()

    async def _timed(self, name: str, work: Awaitable[T]) -> T:
        began = time.perf_counter()
        try:
            found = await work
        except InaeticsError as error:
            self._observe(name, time.perf_counter() - began, type(error).__name__)
            raise
        self._observe(name, time.perf_counter() - began, None)
        return found
