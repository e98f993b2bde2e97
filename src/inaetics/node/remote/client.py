"""Calls other agents. Every thread that calls has a connection to itself meanwhile; idle ones are kept for the next
call.

A provider that died fails a call at once: its connections end with it and its port refuses. One that is silent fails a
call when its time is over. Nothing is ever sent twice.
"""

from __future__ import annotations

import itertools
import socket
import ssl
import threading
import time
from contextlib import ExitStack
from typing import Any

from inaetics.errors import InvalidInput, Unavailable
from inaetics.node.remote.errors import Unreachable, raised_by_provider
from inaetics.node.remote.wire import (
    NO_ENDPOINT,
    Answer,
    Call,
    Connection,
    Failure,
    encode,
    greet,
    prepare,
)

CONNECT_S = 3.0
MAX_IDLE = 8
"""Idle connections kept to one provider."""


class Peer:
    """One other framework, `framework`, at `address` and `port`. Safe from any thread."""

    def __init__(self, address: str, port: int, *, framework: str, me: str, tls: ssl.SSLContext | None) -> None:
        self._at = (address, port)
        self._framework = framework
        self._me = me
        self._tls = tls
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._ids = itertools.count(1)
        self._closed = False

    def call(self, endpoint: str, method: str, args: list[Any], kwargs: dict[str, Any], *, timeout_s: float) -> Any:
        """Call and return the answer, within `timeout_s` all in all.

        Raises `Unreachable` when there is none, `InvalidInput` when the arguments cannot be sent, and what
        `raised_by_provider` makes of an error over there.
        """
        number = next(self._ids)
        frame = encode(Call(number, endpoint, method, args, kwargs))
        try:
            answer = self._exchange(frame, number, time.monotonic() + timeout_s)
        except TimeoutError as error:
            raise self._unreachable(method, f"no answer within {timeout_s:g} s (it may still be at it)") from error
        except OSError as error:
            raise self._unreachable(method, f"the connection broke: {error.strerror or error}") from error
        except (InvalidInput, Unavailable) as error:
            raise self._unreachable(method, str(error)) from error
        if isinstance(answer, Answer):
            return answer.value
        if answer.kind == NO_ENDPOINT:
            raise self._unreachable(method, "it was withdrawn there")
        raise raised_by_provider(method, answer.kind, answer.message)

    def close(self) -> None:
        """Close idle connections; those in use are closed after their call. Idempotent."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _unreachable(self, method: str, why: str) -> Unreachable:
        return Unreachable(f"cannot call {method} at {self._at[0]}:{self._at[1]}: {why}")

    def _exchange(self, frame: bytearray, number: int, deadline: float) -> Answer | Failure:
        """Send a call, receive what answers it. A connection with which anything is wrong is not used again."""
        connection = self._take(deadline)
        try:
            connection.send_frame(frame, within_s=deadline - time.monotonic())
            answer = connection.receive(within_s=deadline - time.monotonic())
        except BaseException:
            connection.close()
            raise
        if not isinstance(answer, Answer | Failure) or answer.id != number:
            connection.close()
            words = "an answer out of turn" if answer is not None else "the provider went away"
            raise Unavailable(words)
        self._give_back(connection)
        return answer

    def _take(self, deadline: float) -> Connection:
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                return self._connect(min(CONNECT_S, max(deadline - time.monotonic(), 0.001)))
            if not connection.readable():
                return connection
            connection.close()  # nothing is due on an idle connection: it ended

    def _give_back(self, connection: Connection) -> None:
        with self._lock:
            if not self._closed and len(self._idle) < MAX_IDLE:
                self._idle.append(connection)
                return
        connection.close()

    def _connect(self, timeout_s: float) -> Connection:
        try:
            stream = socket.create_connection(self._at, timeout=timeout_s)
            with ExitStack() as undo:
                undo.callback(stream.close)
                prepare(stream)
                if self._tls is not None:
                    stream = self._tls.wrap_socket(stream, server_hostname=self._at[0])
                    undo.callback(stream.close)
                connection = Connection(stream)
                found = greet(connection, self._me, within_s=timeout_s)
                if found == self._framework:
                    undo.pop_all()
                    return connection
        except OSError as error:
            raise Unavailable(error.strerror or str(error)) from error
        raise Unavailable("the port belongs to another agent now")


class Peers:
    """The frameworks whose services are imported; connections to one are shared by all its services."""

    def __init__(self, me: str, tls: ssl.SSLContext | None) -> None:
        self._me = me
        self._tls = tls
        self._lock = threading.Lock()
        self._peers: dict[tuple[str, int, str], tuple[Peer, int]] = {}

    def take(self, address: str, port: int, framework: str) -> Peer:
        """The peer, to be given back with `release` once."""
        with self._lock:
            key = (address, port, framework)
            peer, users = self._peers.get(key) or (
                Peer(address, port, framework=framework, me=self._me, tls=self._tls),
                0,
            )
            self._peers[key] = (peer, users + 1)
            return peer

    def release(self, peer: Peer) -> None:
        """Give a peer back; the last one closes its connections."""
        with self._lock:
            for key, (known, users) in list(self._peers.items()):
                if known is not peer:
                    continue
                if users > 1:
                    self._peers[key] = (peer, users - 1)
                    return
                del self._peers[key]
        peer.close()

    def close(self) -> None:
        with self._lock:
            peers, self._peers = self._peers, {}
        for peer, _ in peers.values():
            peer.close()
