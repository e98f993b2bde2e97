"""Watching without gaps: list at R, watch from R+1, resume after the last event seen, list again when told to.

Promises: every change once and in order, over the death of members and outages of all; a stream that has fallen silent
is noticed (its server must answer a progress request) and left for another member's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import structlog

from inaetics.errors import NotFound, Unavailable
from inaetics.store import messages
from inaetics.store.channel import Call
from inaetics.store.protocol import Listing, Relisted, Synced, WatchEvent
from inaetics.store.rpc import RpcError
from inaetics.store.schema import RANGE, WATCH
from inaetics.store.wire import Member, Wire

_log = structlog.get_logger()

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0
_SETTLED_S = 5.0
"""A stream that lived this long was a good one: the next failure is a first failure again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a watch bears silence."""

    silence_s: float = 10.0
    """How often the servers of open streams are asked for a sign of life."""

    @property
    def answer_s(self) -> float:
        """How long one may take to give it, or to accept a new watch."""
        return min(3.0, self.silence_s)


class Watches:
    """The open watch streams of one connection. `pulse` must run beside them."""

    def __init__(self, wire: Wire, patience: Patience) -> None:
        self.wire = wire
        self.patience = patience
        self._streams: set[_Stream] = set()
        wire.on_silence = self._suspect

    async def pulse(self) -> None:
        """Ask the servers of all open streams for a sign of life, again and again: one timer for all watches."""
        while True:
            await asyncio.sleep(self.patience.silence_s)
            self.wire.renew()
            await self.wire.close_retired({stream.member for stream in self._streams})
            for stream in tuple(self._streams):
                stream.ask()

    def _suspect(self, member: Member) -> None:
        """Do not wait for the next pulse with a member that left a call unanswered."""
        for stream in self._streams:
            if stream.member is member:
                stream.ask_now()

    async def watch(self, prefix: str, *, after: int = 0) -> AsyncIterator[WatchEvent]:
        """See `Store.watch`."""
        position = _Position(self, prefix, after)
        try:
            while True:
                for event in await position.step():
                    yield event
        finally:
            position.leave()

    async def open(self, prefix: str, revision: int) -> _Stream:
        self.wire.raise_if_closed()
        stream = _Stream(self.wire, self.patience, prefix, revision)
        self._streams.add(stream)
        try:
            await stream.accepted()
        except BaseException:
            self.forget(stream)
            raise
        return stream

    def forget(self, stream: _Stream) -> None:
        self._streams.discard(stream)
        stream.cancel()


class _ListAgain(Exception):
    """The server ended the watch: what it was to begin with was compacted away, or it will not say."""


class _Position:
    """How far one watch has come. `revision` is the next to be seen; 0 says that everything must be listed."""

    def __init__(self, watches: Watches, prefix: str, after: int) -> None:
        self._watches = watches
        self._prefix = prefix
        self._after = after
        self._revision = 0
        self._stream: _Stream | None = None
        self._opened_at = 0.0
        self._pause_s = 0.0
        self._interrupted = False

    async def step(self) -> Sequence[WatchEvent]:
        """Return what comes next; no events when this step only mended something."""
        try:
            return await self._advance()
        except _ListAgain as error:
            _log.debug("watch lists again", prefix=self._prefix, revision=self._revision, reason=str(error))
            self._revision = 0
        except Unavailable as error:
            self._watches.wire.raise_if_closed()
            if not self._interrupted:
                _log.info("watch interrupted", prefix=self._prefix, revision=self._revision, reason=str(error))
            self._interrupted = True
        self.leave()
        await self._pause()
        return ()

    async def _advance(self) -> Sequence[WatchEvent]:
        if not self._revision:
            found = await self._list_after() if self._after else await self._list()
            self._after = 0
            self._revision = found.revision + 1
            return (Relisted(listing=found),)
        if self._stream is None:
            self._opened_at = asyncio.get_running_loop().time()
            self._stream = await self._watches.open(self._prefix, self._revision)
            if self._interrupted:
                _log.info("watch resumed", prefix=self._prefix, revision=self._revision)
            self._interrupted = False
            return ()
        return self._seen(await self._stream.receive())

    async def _list(self) -> Listing:
        request = messages.range_request(self._prefix, prefix=True)
        return messages.listing(await self._watches.wire.call(RANGE, request, what=f"cannot list {self._prefix!r}"))

    async def _list_after(self) -> Listing:
        """List the prefix as it was; as it is, where that is no longer known."""
        request = messages.range_request(self._prefix, prefix=True, revision=self._after)
        what = f"cannot list {self._prefix!r} as of revision {self._after}"
        try:
            found = await self._watches.wire.call(RANGE, request, what=what)
        except NotFound as error:
            _log.debug("history is gone", prefix=self._prefix, revision=self._after, reason=str(error))
            return await self._list()
        return replace(messages.listing(found), revision=self._after)

    def _seen(self, response: Any) -> Sequence[WatchEvent]:
        changes = [messages.changed(event) for event in response.events]
        if not changes:
            return ()  # a sign of life
        # A response holds whole revisions, so the last one is complete. The header's revision says nothing of the
        # kind: with a backlog it runs ahead of the events.
        self._revision = changes[-1].revision + 1
        self._pause_s = 0.0
        return (*changes, Synced(revision=changes[-1].revision))

    def leave(self) -> None:
        if self._stream is not None:
            self._watches.forget(self._stream)
            self._stream = None

    async def _pause(self) -> None:
        if asyncio.get_running_loop().time() - self._opened_at > _SETTLED_S:
            self._pause_s = 0.0
        self._pause_s = min(max(self._pause_s * 2, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
        await asyncio.sleep(self._pause_s)


class _Stream:
    """One watch stream of a member, whose every ill is Unavailable or _ListAgain."""

    def __init__(self, wire: Wire, patience: Patience, prefix: str, revision: int) -> None:
        self._wire = wire
        self._patience = patience
        self._limit: asyncio.Timeout | None = None
        self._request = messages.watch_request(prefix, revision)
        self._call: Call | None = None
        self.member = wire.member

    async def accepted(self) -> None:
        """Open it, and wait until a member has taken the watch."""
        await self._read(self._patience.answer_s)

    async def receive(self) -> Any:
        """Return the next response: changes, or the sign of life that was asked for."""
        return await self._read(self._patience.silence_s + self._patience.answer_s)

    def ask(self) -> None:
        """Ask for a sign of life."""
        if self._call is not None:
            self._call.write(messages.progress_request())

    def ask_now(self) -> None:
        """Ask for a sign of life, and give the stream up if it does not come soon."""
        self.ask()
        soon = asyncio.get_running_loop().time() + self._patience.answer_s
        limit = self._limit and self._limit.when()
        if self._limit and limit and soon < limit:
            self._limit.reschedule(soon)

    def cancel(self) -> None:
        if self._call is not None:
            self._call.cancel()

    async def _read(self, limit_s: float) -> Any:
        response = await self._receive(limit_s)
        if response is None:
            self._wire.leave(self.member)
            raise Unavailable("the member ended the stream")
        if response.canceled:
            compacted = f"history before revision {response.compact_revision} was compacted"
            raise _ListAgain(response.cancel_reason or compacted)
        return response

    async def _receive(self, limit_s: float) -> Any:
        try:
            async with asyncio.timeout(limit_s) as self._limit:
                if self._call is None:
                    self._call = await self._wire.open(self.member, WATCH, self._request)
                return await self._call.read()
        except TimeoutError as error:
            self._wire.leave(self.member)
            raise Unavailable("the member fell silent") from error
        except RpcError as error:
            self._wire.raise_if_closed()
            self._wire.failed(self.member, error)
            raise self._wire.translated(error, "cannot watch") from error
        finally:
            self._limit = None
