"""Calls other agents: one connection to each, made when it is first needed and again after it ended.

A provider that died fails its callers at once: its connection ends with it and its port refuses. One that is silent
fails a caller when its time is over. A call is sent a second time only when the first cannot have arrived.
"""

from __future__ import annotations

import itertools
import socket
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from functools import partial
from typing import Any, TypeVar

from inaetics.errors import Unavailable
from inaetics.node.remote.errors import NotCarriedOut, Unreachable, Withdrawn, value_of
from inaetics.node.remote.greeting import greet
from inaetics.node.remote.link import Link
from inaetics.node.remote.pending import Broken, PendingCall
from inaetics.node.remote.reachability import Presence
from inaetics.node.remote.stream import NotSent, Stream, prepare, secured
from inaetics.node.remote.wire import Answer, Call, Failure, Frames, OneWay, Ping, Reply, encode

T = TypeVar("T")

CONNECT_S = 3.0
IDLE_S = 0.05
"""A connection that was not used for so long is looked at before the next call: the other side may have ended it."""

Gone = Callable[[], None]
"""Told from any thread that a connection broke or was refused: the provider may be dead. Must not block."""


class CannotConnect(Exception):
    """Nothing was sent. `refused`: nobody listens there."""

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


class Closed(CannotConnect):
    """The peer was given back: its services are imported no more."""


class Peer:
    """One other framework, `framework`, at `address` and `port`. Safe from any thread."""

    def __init__(
        self,
        address: str,
        port: int,
        *,
        framework: str,
        me: str,
        tls: ssl.SSLContext | None,
        gone: Gone = lambda: None,
    ) -> None:
        self.framework = framework
        self.where = f"{address}:{port}"
        self._at = (address, port)
        self._me = me
        self._tls = tls
        self._gone = gone
        self._lock = threading.Lock()
        self._link: Link | None = None
        self._failure: tuple[float, CannotConnect] | None = None
        self._ids = itertools.count(1)
        self._closed = False

    def call(self, endpoint: str, method: str, args: Any, kwargs: dict[str, Any], *, timeout_s: float) -> Any:
        """Call and return the answer, within `timeout_s` all in all.

        Raises `Unreachable` when there is none, `InvalidInput` when the arguments cannot be sent, and what
        `errors.failed` makes of an error over there.
        """
        number = next(self._ids)
        frame = encode(Call(number, endpoint, method, args, kwargs, int(timeout_s * 1000) or 1))
        reply = self._exchange(frame, number, method, timeout_s)
        if type(reply) is Answer:
            return reply.value
        return value_of(reply, method, self.where)

    def call_later(
        self,
        endpoint: str,
        method: str,
        args: Any,
        kwargs: dict[str, Any],
        *,
        timeout_s: float,
    ) -> Future[Any]:
        """Call without waiting: the future has what `call` returns or raises. Cancelling it tells the provider.

        Blocks while the provider has as many calls of ours as it takes. Raises `InvalidInput` at once.
        """
        number, now = next(self._ids), time.monotonic()
        frame = encode(Call(number, endpoint, method, args, kwargs, int(timeout_s * 1000) or 1))
        future = PendingCall()
        future.outcome = partial(self._outcome, method, timeout_s)
        try:
            self._over_a_link(lambda link: link.call_later(frame, number, future, now + timeout_s), now + timeout_s)
        except (OSError, CannotConnect) as error:
            future.fail(self._error(error, method, timeout_s))
        return future

    def send(self, endpoint: str, method: str, args: Any, kwargs: dict[str, Any], *, timeout_s: float) -> None:
        """Call without an answer: returns when the call is on its way. Raises `NotCarriedOut`, `InvalidInput`."""
        deadline = time.monotonic() + timeout_s
        frame = encode(OneWay(endpoint, method, args, kwargs))
        try:
            self._over_a_link(lambda link: link.send(frame, deadline), deadline)
        except (OSError, CannotConnect) as error:
            raise self._error(error, method, timeout_s) from error

    def probe(self, endpoint: str = "", *, timeout_s: float) -> Presence:
        """Ask whether `endpoint` is exported; without one, whether the provider is there."""
        number = next(self._ids)
        frame, deadline = encode(Ping(number, endpoint)), time.monotonic() + timeout_s
        for _ in range(2):
            try:
                reply = self._over_a_link(
                    lambda link: link.call(frame, number, deadline, deadline - time.monotonic()), deadline
                )
            except Broken:
                continue  # it was about to end: see whether there is another one
            except CannotConnect as error:
                return Presence.DEAD if error.refused else Presence.SILENT
            except OSError:
                return Presence.SILENT
            return Presence.EXPORTED if isinstance(reply, Answer) and reply.value is True else Presence.WITHDRAWN
        return Presence.SILENT

    def close(self) -> None:
        """Close the connection; calls in flight fail. Idempotent."""
        link = self._close()
        if link is not None:
            link.close()

    def retire(self) -> None:
        """Take no more calls, and close the connection when those in flight are answered. Idempotent."""
        link = self._close()
        if link is not None:
            link.retire()

    def _close(self) -> Link | None:
        with self._lock:
            self._closed = True
            link, self._link = self._link, None
            return link

    def _exchange(self, frame: bytes, number: int, method: str, timeout_s: float) -> Reply:
        now = time.monotonic()
        deadline = now + timeout_s
        try:
            link = self._link
            if link is not None and not link.end and now - link.used < IDLE_S:  # nearly always
                link.used = now
                try:
                    return link.call(frame, number, deadline, timeout_s)
                except NotSent:
                    pass  # once more, over another one
            return self._over_a_link(
                lambda link: link.call(frame, number, deadline, deadline - time.monotonic()), deadline
            )
        except (OSError, CannotConnect, Broken) as error:
            raise self._error(error, method, timeout_s) from error

    def _over_a_link(self, work: Callable[[Link], T], deadline: float) -> T:
        """Do `work` over the connection, and over a new one when nothing can have been sent over the first."""
        link = self._usable(deadline)
        try:
            return work(link)
        except NotSent:
            if not link.end:
                raise
        return work(self._usable(deadline))

    def _usable(self, deadline: float) -> Link:
        """A connection that lives, as far as can be seen. Raises `CannotConnect`."""
        asked = time.monotonic()
        link = self._link
        if link is not None and not link.end:
            if asked - link.used < IDLE_S:
                link.used = asked
                return link
            if link.fresh():
                return link
        if not self._lock.acquire(timeout=max(deadline - asked, 0)):
            raise CannotConnect("another call is still trying to connect")
        try:
            return self._link_now(asked, deadline)
        except CannotConnect as error:
            self._failure = (time.monotonic(), error)
            if error.refused:
                self._gone()
            raise
        finally:
            self._lock.release()

    def _link_now(self, asked: float, deadline: float) -> Link:
        """The connection, or a new one. The lock is held; the call waited for it since `asked`."""
        if self._link is not None and not self._link.end:
            return self._link
        if self._closed:
            raise Closed("it is not imported any more")
        if self._failure is not None and self._failure[0] >= asked:
            raise self._failure[1]  # somebody else tried while this call waited
        self._link = self._connect(min(CONNECT_S, max(deadline - time.monotonic(), 0.001)))
        return self._link

    def _connect(self, timeout_s: float) -> Link:
        try:
            connected = socket.create_connection(self._at, timeout=timeout_s)
            with ExitStack() as undo:
                undo.callback(connected.close)
                prepare(connected)
                stream = Stream(connected)
                if self._tls is not None:
                    stream = secured(connected, self._tls, within_s=timeout_s, server_name=self._at[0])
                frames = Frames()
                hello, _ = greet(stream, frames, self._me, within_s=timeout_s)
                if hello.framework == self.framework:
                    undo.pop_all()
                    return Link(stream, frames, window=hello.window, ended=lambda _: self._gone())
        except ConnectionRefusedError as error:
            raise CannotConnect(error.strerror or str(error), refused=True) from error
        except (OSError, Unavailable) as error:
            raise CannotConnect(getattr(error, "strerror", None) or str(error)) from error
        raise CannotConnect("the port belongs to another agent now", refused=True)

    def _outcome(self, method: str, timeout_s: float, outcome: Reply | Broken | TimeoutError) -> Any:
        """What became of a future's call."""
        if isinstance(outcome, Answer | Failure):
            return value_of(outcome, method, self.where)
        raise self._error(outcome, method, timeout_s)

    def _error(self, error: Exception, method: str, timeout_s: float) -> Unreachable:
        begin = f"cannot call {method} at {self.where}: "
        match error:
            case Closed():
                return Withdrawn(f"{begin}{error}")
            case NotSent() | CannotConnect():
                return NotCarriedOut(f"{begin}{error}")
            case TimeoutError():
                return Unreachable(f"{begin}no answer within {timeout_s:g} s (it may still be at it)")
            case OSError():
                return Unreachable(f"{begin}the connection broke: {error.strerror or error}")
            case _:
                return Unreachable(f"{begin}{error}")


class Peers:
    """The frameworks whose services are imported; the connection to one is shared by all its services.

    `gone` is told of a framework that may be dead, as `Peer` tells it.
    """

    def __init__(
        self, me: str, tls: ssl.SSLContext | None, *, gone: Callable[[str], None] = lambda framework: None
    ) -> None:
        self._me = me
        self._tls = tls
        self._gone = gone
        self._lock = threading.Lock()
        self._peers: dict[tuple[str, int, str], tuple[Peer, int]] = {}

    def take(self, address: str, port: int, framework: str) -> Peer:
        """The peer, to be given back with `release` once."""
        with self._lock:
            key = (address, port, framework)
            peer, users = self._peers.get(key) or (self._make(address, port, framework), 0)
            self._peers[key] = (peer, users + 1)
            return peer

    def release(self, peer: Peer) -> None:
        """Give a peer back; after the last one its connection ends with the calls in flight."""
        with self._lock:
            for key, (known, users) in list(self._peers.items()):
                if known is not peer:
                    continue
                if users > 1:
                    self._peers[key] = (peer, users - 1)
                    return
                del self._peers[key]
        peer.retire()

    def close(self) -> None:
        with self._lock:
            peers, self._peers = self._peers, {}
        for peer, _ in peers.values():
            peer.close()

    def _make(self, address: str, port: int, framework: str) -> Peer:
        return Peer(address, port, framework=framework, me=self._me, tls=self._tls, gone=lambda: self._gone(framework))
